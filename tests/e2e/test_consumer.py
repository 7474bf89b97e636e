"""The consumer in the README: run as it stands there, on the demo, and acting on one approval."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts.envelope import CONTENT_TYPE
from tests.command import environment, running
from tests.e2e.test_demo import words
from tests.readme import README
from tests.stack.topics import Record, send
from tests.stack.waiting import until
from tests.unit.event_samples import least

TOPIC = "awooop.approval-command"
DEADLINE_S = 60


class Demo:
    """A demo, and who may decide there."""

    def __init__(self, said: dict[str, str]) -> None:
        self.bootstrap = said["RUNFOLD_KAFKA_BOOTSTRAP"]
        self.variables = {"RUNFOLD_URL": said["URL"], "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap}
        bearer = {"Authorization": f"Bearer {said['TOKEN']}"}
        self.http = httpx.AsyncClient(base_url=said["URL"], headers=bearer, timeout=20)

    async def waiting(self) -> list[dict[str, Any]]:
        """The consumer's runs that wait."""
        answer = await self.http.get("/v1/approvals", params={"project_id": "readme"})
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def state(self, run_id: str) -> str:
        """The run's state in the views."""
        return str((await self.http.get(f"/v1/runs/{run_id}")).json()["run"]["state"])


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    with running("demo") as process:
        assert process.stdout is not None
        found = await asyncio.to_thread(
            words, process.stdout, "URL", "TOKEN", "RUNFOLD_KAFKA_BOOTSTRAP"
        )
        demo = Demo(found)
        async with demo.http:
            yield demo


@pytest.fixture
def consumer(demo: Demo, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "engine.py"
    script.write_text(code, "utf-8")
    with subprocess.Popen(
        [sys.executable, script],
        env=environment(demo.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def decisions(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads the topic of decisions from its beginning."""
    reading = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await reading.start()
    try:
        yield reading
    finally:
        await reading.stop()


async def decision(bootstrap: str, command_id: str) -> ConsumerRecord:
    """The record of a decision."""
    async with decisions(bootstrap) as reading, asyncio.timeout(DEADLINE_S):
        async for each in reading:
            if json.loads(each.value)["id"] == command_id:
                return each
    raise AssertionError("unreachable: the topic has no end")


def record(run_id: str, event: dict[str, Any], partition: int | None = None) -> Record:
    """An event of a decision, as anybody could send it."""
    headers = [("content-type", CONTENT_TYPE.encode())]
    return Record(TOPIC, run_id.encode(), json.dumps(event).encode(), partition, headers)


async def handled(bootstrap: str, partition: int, offset: int) -> bool:
    """Whether the consumer is done with a record."""
    reading = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="engine")
    await reading.start()
    try:
        return (await reading.committed(TopicPartition(TOPIC, partition)) or 0) > offset
    finally:
        await reading.stop()


async def said(consumer: subprocess.Popen[bytes]) -> str:
    """What the consumer says next; the framework's log apart."""
    assert consumer.stdout is not None
    while line := await asyncio.to_thread(consumer.stdout.readline):
        if line.startswith((b"calling", b"refused")):
            return line.decode().strip()
    return ""


async def test_the_consumer_of_the_readme_acts_once_on_what_was_approved(
    demo: Demo, consumer: subprocess.Popen[bytes]
) -> None:
    [run] = await until(demo.waiting, DEADLINE_S, "the consumer's run")
    run_id = run["run_id"]
    forged = {"run_id": run_id, "run_version": 1, "approval_token": "e30.e30.e30"}
    await send(demo.bootstrap, [record(run_id, least("approval-command", **forged))])
    assert (await said(consumer)).startswith("refused: ")

    path = f"/v1/runs/{run_id}/decision"
    made = await demo.http.post(path, json={"decision": "approve", "run_version": 1})
    assert made.status_code == 202, made.text
    command = made.json()["command_id"]
    assert await said(consumer) == "calling kubectl.delete"

    async def is_applied() -> bool:
        told = await demo.http.get(f"/v1/approvals/commands/{command}")
        return bool(told.json()["status"] == "applied")

    await until(is_applied, DEADLINE_S, "the engine's answer in the views")
    assert await demo.state(run_id) == "running"
    assert await demo.waiting() == []

    published = await decision(demo.bootstrap, command)
    event = json.loads(published.value)
    later = event | {"data": event["data"] | {"run_version": 2}}
    copies = [record(run_id, each, published.partition) for each in (event, later)]
    [*_, last] = await send(demo.bootstrap, copies)
    await until(
        lambda: handled(demo.bootstrap, published.partition, last), DEADLINE_S, "the copies"
    )
    consumer.kill()
    assert await said(consumer) == ""
