"""What all measurements share: where figures go, and servers as durable as in production."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.databases import Fresh, fresh_on
from tests.bench.figures import Figures
from tests.stack.servers import EmbeddedPostgres

FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="write the figures to this file, as JSON")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """Where figures go: to the terminal at once, to the file of --figures at the end."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(line)
            terminal.flush()

    collected = Figures(tell)
    request.config.stash[FIGURES] = collected
    return collected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    collected = terminalreporter.config.stash.get(FIGURES, None)
    if collected is None:
        return
    terminalreporter.section("figures")
    for figure in collected.all:
        terminalreporter.write_line(figure.line)
    file = terminalreporter.config.getoption("figures")
    if file is not None:
        collected.write(file)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The run's PostgreSQL, which waits for its disk at every commit."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def fresh(postgres: EmbeddedPostgres, database_template: str) -> Fresh:
    """Migrated databases, one for each time it is called."""
    return fresh_on(postgres, database_template)


@pytest.fixture
def bootstrap(request: pytest.FixtureRequest, broker_name: str) -> str:
    """The broker that the test names."""
    if broker_name == "Apache Kafka":
        return str(request.getfixturevalue("kafka_bootstrap"))
    return str(request.getfixturevalue("broker").bootstrap)
