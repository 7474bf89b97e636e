"""What the demo shows: how it starts, where to look, and what flows, in one line that lives."""

import asyncio
from dataclasses import dataclass
from typing import Final

import asyncpg
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from projector.database import active_generation, connected

REFRESH_SECONDS: Final = 1.0
PLAIN_REFRESH_SECONDS: Final = 5.0

NUMBERS: Final = """
    SELECT
        (SELECT coalesce(sum(applied), 0) FROM position) AS events,
        (SELECT coalesce(sum(total), 0) FROM run_counter WHERE level = 0) AS runs,
        (
            SELECT coalesce(sum(total), 0) FROM run_counter
            WHERE level = 0 AND state = 'waiting_approval'
        ) AS waiting,
        (
            SELECT extract(epoch FROM clock_timestamp() - max(updated_at))::float8 FROM position
        ) AS age
"""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the views hold; `age` is the seconds since they last changed, None if never."""

    events: int
    runs: int
    waiting: int
    age: float | None

    def __str__(self) -> str:
        age = "never" if self.age is None else f"{self.age:.1f} s ago"
        return (
            f"{self.events:,} events applied · {self.runs:,} runs ·"
            f" {self.waiting} waiting for approval · last change {age}"
        )


class Show:
    """The demo's output: rich on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)

    def step(self, what: str) -> None:
        """Say what is being done."""
        self._console.print(f"{what} …")

    def ready(self, url: str, token: str, kafka_bootstrap: str) -> None:
        """Say where everything is, and what to try."""
        ask = f'curl -s -H "Authorization: Bearer $TOKEN" "{url}'
        if self._console.is_terminal:
            where = (
                f"API       {url}/v1/runs\nOpenAPI   {url}/openapi.json\n\nCtrl-C ends all of it."
            )
            self._console.print(Panel(where, title="runfold is up", expand=False))
        self._console.print(f"URL={url}")
        self._console.print(f"RUNFOLD_KAFKA_BOOTSTRAP={kafka_bootstrap}")
        # On a line of its own, without a frame: it is there to be copied.
        self._console.print(f"TOKEN={token}", markup=False)
        for path in ("/v1/runs?per_page=3", "/v1/approvals", "/v1/runs/counts"):
            self._console.print(f'{ask}{path}"', markup=False)
        decide = ask.replace("curl -s", """curl -s --json '{"decision": "approve"}'""")
        self._console.print(f'{decide}/v1/runs/$RUN_ID/decision"', markup=False)

    async def live(self, database_url: str) -> None:
        """Keep telling what the views hold, until cancelled."""
        async with connected(database_url) as connection:
            if not self._console.is_terminal:
                while True:
                    self._console.print(str(await _numbers(connection)))
                    await asyncio.sleep(PLAIN_REFRESH_SECONDS)
            with Live(console=self._console, auto_refresh=False) as line:
                while True:
                    line.update(Text(str(await _numbers(connection))), refresh=True)
                    await asyncio.sleep(REFRESH_SECONDS)


async def _numbers(connection: asyncpg.Connection) -> Numbers:
    async with active_generation(connection):
        row = await connection.fetchrow(NUMBERS)
        if row is None:
            raise AssertionError("unreachable: a SELECT without FROM has one row")
        return Numbers(int(row["events"]), int(row["runs"]), int(row["waiting"]), row["age"])
