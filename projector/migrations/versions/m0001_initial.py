"""The schema `runfold`, which belongs to no generation.

Roles, generations, workers, decisions, the log of changes, dead letters.
"""

from typing import Final

from alembic import op

revision = "m0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES: Final = """
DO $$
BEGIN
    IF to_regrole('runfold_writer') IS NULL THEN
        CREATE ROLE runfold_writer NOLOGIN NOINHERIT NOBYPASSRLS;
    END IF;
    IF to_regrole('runfold_reader') IS NULL THEN
        CREATE ROLE runfold_reader NOLOGIN NOINHERIT NOBYPASSRLS;
    END IF;
    IF to_regrole('runfold_commander') IS NULL THEN
        -- INHERIT: the reader's policies hold for whoever has the reader's privileges
        CREATE ROLE runfold_commander NOLOGIN INHERIT NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role('runfold_commander', 'runfold_reader', 'USAGE') THEN
        GRANT runfold_reader TO runfold_commander WITH INHERIT TRUE, SET FALSE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- the whole server has the same roles: another database's migration was faster
    NULL;
END
$$
"""

# Workers copy what they write to temporary tables first.
TEMPORARY: Final = """
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO runfold_writer', current_database());
END
$$
"""

ALL_PROJECTS: Final = "(SELECT current_setting('runfold.all_projects', true) = 'on')"
BY_PROJECT: Final = f"""
    {ALL_PROJECTS}
    OR project_id = ANY ((SELECT nullif(current_setting('runfold.projects', true), ''))::text[])
"""
OPERATOR: Final = "(SELECT current_setting('runfold.operator', true) = 'on')"

GENERATIONS: Final = (
    """
    CREATE TABLE runfold.generation (
        name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9_]{1,40}$'),
        schema_name text NOT NULL UNIQUE,
        read_model integer NOT NULL,
        as_of timestamptz,
        complete boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        activated_at timestamptz
    )
    """,
    """
    CREATE TABLE runfold.active_generation (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        name text COLLATE "C" NOT NULL REFERENCES runfold.generation (name)
    )
    """,
    """
    CREATE TABLE runfold.rebuild (
        generation text COLLATE "C" PRIMARY KEY
            REFERENCES runfold.generation (name) ON DELETE CASCADE,
        phase text NOT NULL,
        options json NOT NULL,
        done bigint NOT NULL DEFAULT 0,
        total bigint NOT NULL DEFAULT 0,
        events_per_second double precision,
        topics json NOT NULL DEFAULT '[]',
        error text,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE FUNCTION runfold.rfc3339(moment timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
        || CASE
            WHEN date_trunc('second', moment AT TIME ZONE 'UTC') = moment AT TIME ZONE 'UTC' THEN ''
            ELSE to_char(moment AT TIME ZONE 'UTC', '.US')
        END
        || 'Z'
    """,
    # A rebuild holds this lock on its generation's name for as long as it runs.
    """
    CREATE FUNCTION runfold.is_rebuilding(generation text) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    RETURN EXISTS (
        SELECT
        FROM pg_locks AS lock
        JOIN pg_database AS here ON here.oid = lock.database
        WHERE here.datname = current_database()
            AND lock.locktype = 'advisory'
            AND lock.granted
            AND lock.classid = 1920298513
            AND lock.objid = (hashtext(generation)::bigint & 4294967295)::oid
            AND lock.objsubid = 2
    )
    """,
    """
    CREATE TABLE runfold.worker (
        worker_id text PRIMARY KEY,
        host text NOT NULL,
        pid integer NOT NULL,
        generation text COLLATE "C" NOT NULL REFERENCES runfold.generation (name) ON DELETE CASCADE,
        partitions json NOT NULL,
        last_error text,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "GRANT USAGE ON SCHEMA runfold TO runfold_writer, runfold_reader, runfold_commander",
    """
    GRANT SELECT ON runfold.generation, runfold.active_generation, runfold.rebuild, runfold.worker
    TO runfold_writer, runfold_reader
    """,
    "GRANT INSERT, UPDATE, DELETE ON runfold.worker TO runfold_writer",
)

DECISIONS: Final = (
    # The decisions are their own outbox. One decision on a run's version wins: a second finds the
    # place taken, even when the run has moved to another project since. `seq` is the order of the
    # decisions on one run, which are made one at a time.
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
    # A reader does not see the event, which holds the approval token.
    """
    GRANT SELECT (command_id, run_id, project_id, run_version, decision, approver_id, decided_at,
        published_at) ON runfold.command
    TO runfold_reader
    """,
    "GRANT SELECT, INSERT, UPDATE (published_at) ON runfold.command TO runfold_commander",
    # The answers to requests with an idempotency key.
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
)

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

DEAD_LETTERS: Final = (
    # One table for all generations: `generations` are those that lack the record's event. What an
    # operator asks over HTTP stands in `requested` until a worker has carried it out.
    """
    CREATE TABLE runfold.dead_letter (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        topic text COLLATE "C" NOT NULL,
        partition integer NOT NULL,
        "offset" bigint NOT NULL,
        key bytea,
        headers json NOT NULL,
        value bytea NOT NULL,
        reason text COLLATE "C" NOT NULL,
        message text COLLATE "C" NOT NULL,
        generations text[] COLLATE "C" NOT NULL,
        state text COLLATE "C" NOT NULL DEFAULT 'parked'
            CHECK (state IN ('parked', 'retried', 'discarded')),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        changed_at timestamptz,
        changed_by text COLLATE "C",
        requested text CHECK (requested IN ('retry', 'discard')),
        requested_by text COLLATE "C",
        CHECK (requested IS NULL OR state = 'parked')
    )
    """,
    # Of its bytes, too: a topic that was made anew has other records at the same offsets.
    """
    CREATE UNIQUE INDEX dead_letter_record
    ON runfold.dead_letter (topic, partition, "offset", sha256(value))
    """,
    "CREATE INDEX dead_letter_state_reason ON runfold.dead_letter (state, reason, id)",
    """
    CREATE INDEX dead_letter_requested ON runfold.dead_letter (id) WHERE requested IS NOT NULL
    """,
    "ALTER TABLE runfold.dead_letter ENABLE ROW LEVEL SECURITY",
    """
    CREATE POLICY writer ON runfold.dead_letter TO runfold_writer USING (true) WITH CHECK (true)
    """,
    # The project of an unusable record is unknown, so only who may see all projects sees it.
    f"""
    CREATE POLICY reader ON runfold.dead_letter FOR SELECT TO runfold_reader
    USING ({OPERATOR} AND {ALL_PROJECTS})
    """,
    f"""
    CREATE POLICY operator ON runfold.dead_letter FOR UPDATE TO runfold_commander
    USING ({OPERATOR} AND {ALL_PROJECTS})
    """,
    "GRANT SELECT, INSERT, UPDATE ON runfold.dead_letter TO runfold_writer",
    "GRANT SELECT ON runfold.dead_letter TO runfold_reader",
    "GRANT UPDATE (requested, requested_by) ON runfold.dead_letter TO runfold_commander",
)


def upgrade() -> None:
    """Create the roles, which all databases of a server share, and the tables."""
    op.execute(ROLES)
    op.execute(TEMPORARY)
    for statement in GENERATIONS + DECISIONS + CHANGES + DEAD_LETTERS:
        op.execute(statement)
