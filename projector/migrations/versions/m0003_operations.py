"""The log of changed runs, and what operators ask workers to do with dead letters."""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BY_PROJECT: Final = """
    (SELECT current_setting('runfold.all_projects', true) = 'on')
    OR project_id = ANY ((SELECT nullif(current_setting('runfold.projects', true), ''))::text[])
"""

CHANGES: Final = (
    """
    CREATE TABLE runfold.run_change (
        change_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        run_id uuid NOT NULL,
        project_id text COLLATE "C" NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (change_id, run_id)
    )
    """,
    """
    CREATE TABLE runfold.run_change_horizon (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        pruned_to xid8
    )
    """,
    "INSERT INTO runfold.run_change_horizon DEFAULT VALUES",
    "ALTER TABLE runfold.run_change ENABLE ROW LEVEL SECURITY",
    """
    CREATE POLICY writer ON runfold.run_change TO runfold_writer USING (true) WITH CHECK (true)
    """,
    f"CREATE POLICY reader ON runfold.run_change FOR SELECT TO runfold_reader USING ({BY_PROJECT})",
    "GRANT SELECT, INSERT, DELETE ON runfold.run_change TO runfold_writer",
    "GRANT SELECT ON runfold.run_change TO runfold_reader",
    "GRANT SELECT, UPDATE ON runfold.run_change_horizon TO runfold_writer",
    "GRANT SELECT ON runfold.run_change_horizon TO runfold_reader",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in CHANGES:
        op.execute(statement)
