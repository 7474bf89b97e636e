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

OPERATOR: Final = "(SELECT current_setting('runfold.operator', true) = 'on')"

REQUESTS: Final = (
    """
    CREATE TABLE runfold.dead_letter_request (
        request_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        letter_id bigint NOT NULL,
        action text NOT NULL CHECK (action IN ('retry', 'discard')),
        asked_by text COLLATE "C" NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        outcome text CHECK (outcome IN ('done', 'unknown', 'not_parked', 'still_bad')),
        detail text,
        done_at timestamptz
    )
    """,
    """
    CREATE INDEX dead_letter_request_open ON runfold.dead_letter_request (request_id)
    WHERE outcome IS NULL
    """,
    "ALTER TABLE runfold.dead_letter_request ENABLE ROW LEVEL SECURITY",
    """
    CREATE POLICY writer ON runfold.dead_letter_request TO runfold_writer
    USING (true) WITH CHECK (true)
    """,
    f"""
    CREATE POLICY operator ON runfold.dead_letter_request TO runfold_commander
    USING ({OPERATOR}) WITH CHECK ({OPERATOR} AND outcome IS NULL)
    """,
    "GRANT SELECT, UPDATE, DELETE ON runfold.dead_letter_request TO runfold_writer",
    """
    GRANT SELECT, INSERT (letter_id, action, asked_by) ON runfold.dead_letter_request
    TO runfold_commander
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in CHANGES + REQUESTS:
        op.execute(statement)
