"""Workers copy what they write to tables of their own session first."""

from typing import Final

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# what every role may do unless the database's owner has taken it away
GRANT: Final = """
    DO $$
    BEGIN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO runfold_writer', current_database());
    END
    $$
"""


def upgrade() -> None:
    """Let workers have temporary tables."""
    op.execute(GRANT)
