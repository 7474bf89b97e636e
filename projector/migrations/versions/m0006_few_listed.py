"""Decisions and messages keep an index of their own; steps and calls are found with their run."""

from typing import Final

from alembic import op

from contracts.locks import ACTIVATION

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Who writes a batch holds this lock with others, and readers queue behind whoever waits for a
# table: both are waited for, and not for long. Run again, the migration finds another moment.
ALONE: Final = f"SELECT pg_advisory_xact_lock({ACTIVATION})"
PATIENCE: Final = "SET LOCAL lock_timeout = '5s'"

# Readers go on while the new index is made, and wait only for the old one to be dropped. A
# generation that is being loaded has neither: it gets the new one.
REPLACE: Final = """
    DO $$
    DECLARE
        target name;
    BEGIN
        FOR target IN
            SELECT space.nspname
            FROM runfold.generation
            JOIN pg_namespace AS space ON space.nspname = generation.schema_name
            JOIN pg_class AS class ON class.relnamespace = space.oid
            JOIN pg_index AS index ON index.indexrelid = class.oid
            WHERE class.relname = 'item_listed' AND index.indpred IS NULL
        LOOP
            EXECUTE format(
                'CREATE INDEX item_listed_few ON %I.item (run_id, rank, seq, listed_at, tie)'
                ' WHERE rank IN (8, 9)',
                target
            );
            EXECUTE format('DROP INDEX %I.item_listed', target);
            EXECUTE format('ALTER INDEX %I.item_listed_few RENAME TO item_listed', target);
        END LOOP;
    END
    $$
"""


def upgrade() -> None:
    """Replace the index in every generation."""
    op.execute(PATIENCE)
    op.execute(ALONE)
    op.execute(REPLACE)
