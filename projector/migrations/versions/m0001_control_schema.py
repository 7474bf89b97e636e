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
    "GRANT USAGE ON SCHEMA runfold TO runfold_writer, runfold_reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA runfold TO runfold_writer, runfold_reader",
    "GRANT INSERT, UPDATE, DELETE ON runfold.worker TO runfold_writer",
)


def upgrade() -> None:
    """Create the roles and the tables that belong to no generation."""
    op.execute(ROLES)
    for statement in TABLES:
        op.execute(statement)
