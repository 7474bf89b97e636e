"""What PostgreSQL cannot hold as text is looked for first, and only what may be that is parsed."""

from typing import Final

from alembic import op

from contracts.locks import ACTIVATION

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Who writes a batch holds this lock with others, and readers queue behind whoever waits for a
# table: both are waited for, and not for long. Run again, the migration finds another moment.
ALONE: Final = f"SELECT pg_advisory_xact_lock({ACTIVATION})"
PATIENCE: Final = "SET LOCAL lock_timeout = '5s'"

# Rows that are there have passed the constraint that goes, which refused the same: they are not
# read again.
REPLACE: Final = """
    DO $$
    DECLARE
        target regclass;
    BEGIN
        FOR target IN
            SELECT conrelid
            FROM pg_constraint
            WHERE conname = 'detail_storable'
                AND connamespace IN (
                    SELECT to_regnamespace(quote_ident(schema_name)) FROM runfold.generation
                )
        LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT detail_storable', target);
            EXECUTE format(
                $check$
                    ALTER TABLE %s ADD CONSTRAINT detail_storable
                    CHECK (
                        strpos(detail::text, chr(92) || 'u0000') = 0 OR detail::jsonb IS NOT NULL
                    )
                    NOT VALID
                $check$,
                target
            );
        END LOOP;
    END
    $$
"""


def upgrade() -> None:
    """Replace the constraint in every generation."""
    op.execute(PATIENCE)
    op.execute(ALONE)
    op.execute(REPLACE)
