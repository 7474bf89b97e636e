"""A rebuild beside a client that follows: it is told of what happens, and of the swap."""

from projector.generations.diff import diff
from projector.generations.plan import Options
from projector.generations.rebuild import activate, rebuild
from projector.operations.audit import audit
from tests.applying import viewing
from tests.histories import history
from tests.live import applied, produce, running_worker, settings_of
from tests.reference import Record
from tests.stack.servers import EmbeddedBroker
from tests.streams import following, listening
from tests.unit.event_samples import as_bytes, least

OTHER_RUN = "11111111-1111-4111-8111-111111111111"


async def test_a_rebuild_is_not_told_and_its_swap_is_a_reset(
    database_url: str, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    settings = settings_of(database_url, broker.bootstrap, topic_prefix)
    event = least("run-state", run_id=OTHER_RUN, state="succeeded")
    views, worker = viewing(database_url), running_worker(settings)
    async with views as connection, worker, listening(database_url) as served:
        await applied(connection, await produce(settings, history(23, size=400, bad=True)))
        async with following(served) as client:
            options = Options(name="second", workers=1, activate=False)
            await rebuild(settings, options, lambda _: None)
            async with connection.transaction(isolation="repeatable_read"):
                assert (await diff(connection, "main", "second")).total == 0
            await produce(settings, [Record("run-state", OTHER_RUN, as_bytes(event))])
            told = await client.next()
            assert (told.event, told.data["run_id"]) == ("run", OTHER_RUN)
            await activate(settings, "second")
            active = await connection.fetchval("SELECT name FROM runfold.active_generation")
            assert active == "second"
            assert (await client.next()).event == "reset"
            assert (await audit(connection)).faults == ()
            logged = "SELECT count(*) FROM runfold.run_change WHERE run_id = $1"
            assert await connection.fetchval(logged, OTHER_RUN) == 1
