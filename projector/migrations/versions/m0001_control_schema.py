"""The control schema: roles, generations, the pointer to the active one, the workers."""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES: Final = """
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['runfold_writer', 'runfold_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- roles belong to the whole server: another database's migration was faster
    NULL;
END
$$
"""

TABLES: Final = (
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
    CREATE TABLE runfold.active_generation (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        name text COLLATE "C" NOT NULL REFERENCES runfold.generation (name)
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
    # A rebuild holds this lock on its name for as long as it runs (`projector.rebuild.record`).
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
    # One for all generations: the number of a dead letter never becomes another one's.
    "CREATE SEQUENCE runfold.dead_letter_id",
    """
    CREATE TABLE runfold.exported (
        topic text COLLATE "C",
        partition integer,
        next_offset bigint NOT NULL,
        PRIMARY KEY (topic, partition)
    )
    """,
    "GRANT USAGE ON SEQUENCE runfold.dead_letter_id TO runfold_writer",
    "GRANT USAGE ON SCHEMA runfold TO runfold_writer, runfold_reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA runfold TO runfold_writer, runfold_reader",
    "GRANT INSERT, UPDATE, DELETE ON runfold.worker TO runfold_writer",
)


def upgrade() -> None:
    """Create the roles and the tables that belong to no generation."""
    op.execute(ROLES)
    for statement in TABLES:
        op.execute(statement)
