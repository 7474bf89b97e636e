"""One database into which a worker has projected the history."""

from collections.abc import Iterator

import pytest

from projector.demo.broker import EmbeddedBroker
from projector.demo.postgres import EmbeddedPostgres
from tests.record import history
from tests.record.stage import Servers, done, fill, projecting

PREFIX = "record."


@pytest.fixture(scope="package")
def servers(postgres: EmbeddedPostgres, broker: EmbeddedBroker, database_template: str) -> Servers:
    return Servers(postgres, broker.bootstrap, database_template)


@pytest.fixture(scope="package")
def seeded(servers: Servers) -> Iterator[str]:
    """The name of the database, to be copied; its topics begin with `record.`"""
    with servers.database() as name:
        variables = servers.variables(name, PREFIX)
        done("topics", variables=variables)
        with projecting(variables):
            fill(variables, history.lines(), [*history.bad(PREFIX)])
        yield name
