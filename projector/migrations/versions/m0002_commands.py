"""Decisions on runs, which are their own outbox, and the answers to requests with a key."""

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROLE: Final = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runfold_commander') THEN
        -- INHERIT: the policies of the reader hold for whoever has the reader's privileges
        CREATE ROLE runfold_commander NOLOGIN INHERIT NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role('runfold_commander', 'runfold_reader', 'USAGE') THEN
        GRANT runfold_reader TO runfold_commander WITH INHERIT TRUE, SET FALSE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- roles belong to the whole server: another database's migration was faster
    NULL;
END
$$
"""

BY_PROJECT: Final = """
    (SELECT current_setting('runfold.all_projects', true) = 'on')
    OR project_id = ANY ((SELECT nullif(current_setting('runfold.projects', true), ''))::text[])
"""

SHOWN: Final = (
    "command_id, run_id, project_id, run_version, decision, approver_id, decided_at, published_at"
)
"""What a reader may read of a decision: not the event, which holds the approval token."""

TABLES: Final = (
    # One decision wins: the second for a run's version finds the place taken, also when the run
    # has come to another project since. `seq` is the order of the decisions on one run, since they
    # are made one at a time.
    """
    CREATE TABLE runfold.command (
        command_id uuid PRIMARY KEY,
        run_id uuid NOT NULL,
        project_id text COLLATE "C" NOT NULL,
        run_version bigint NOT NULL,
        decision text NOT NULL CHECK (decision IN ('approve', 'reject')),
        approver_id text COLLATE "C" NOT NULL,
        reason text,
        tool_name text,
        arguments_sha256 text,
        approval_token_jti text,
        new_state text NOT NULL,
        decided_at timestamptz NOT NULL,
        event bytea NOT NULL,
        traceparent text,
        seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        published_at timestamptz,
        CONSTRAINT command_one_decision UNIQUE (run_id, run_version)
    )
    """,
    "CREATE INDEX command_unpublished ON runfold.command (seq) WHERE published_at IS NULL",
    """
    CREATE INDEX command_unpublished_run ON runfold.command (run_id, seq)
    WHERE published_at IS NULL
    """,
    "ALTER TABLE runfold.command ENABLE ROW LEVEL SECURITY",
    f"CREATE POLICY reader ON runfold.command FOR SELECT TO runfold_reader USING ({BY_PROJECT})",
    f"""
    CREATE POLICY decide ON runfold.command FOR INSERT TO runfold_commander
    WITH CHECK ({BY_PROJECT})
    """,
    f"""
    CREATE POLICY publish ON runfold.command FOR UPDATE TO runfold_commander USING ({BY_PROJECT})
    """,
    f"GRANT SELECT ({SHOWN}) ON runfold.command TO runfold_reader",
    "GRANT SELECT, INSERT, UPDATE (published_at) ON runfold.command TO runfold_commander",
    """
    CREATE TABLE runfold.idempotency (
        subject text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        request bytea NOT NULL,
        status smallint NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (subject, key)
    )
    """,
    "CREATE INDEX idempotency_oldest ON runfold.idempotency (created_at)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON runfold.idempotency TO runfold_commander",
    "GRANT USAGE ON SCHEMA runfold TO runfold_commander",
)


def upgrade() -> None:
    """Create the role of who decides, and the tables."""
    op.execute(ROLE)
    for statement in TABLES:
        op.execute(statement)
