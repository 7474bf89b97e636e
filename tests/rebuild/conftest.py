"""Places to rebuild at."""

from collections.abc import AsyncIterator

import pytest

from tests.histories import history
from tests.live import running_worker, settings_of
from tests.rebuild.place import Place, place_of


@pytest.fixture
async def place(database_url: str, bootstrap: str, topic_prefix: str) -> AsyncIterator[Place]:
    """A place whose worker has applied a history with everything bad in it, and goes on."""
    settings = settings_of(database_url, bootstrap, topic_prefix)
    async with running_worker(settings), place_of(settings) as made:
        await made.send(history(21, size=400, bad=True))
        await made.caught_up()
        yield made
