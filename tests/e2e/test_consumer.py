"""The consumer in the README: run as it stands there, on the demo, and acting on one approval."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
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
    def __init__(self, said: dict[str, str]) -> None:
        self.bootstrap = said["RUNFOLD_KAFKA_BOOTSTRAP"]
        self.variables = {"RUNFOLD_URL": said["URL"], "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap}
        bearer = {"Authorization": f"Bearer {said['TOKEN']}"}
        self.http = httpx.AsyncClient(base_url=said["URL"], headers=bearer, timeout=20)

    async def get(self, path: str) -> Any:
        return (await self.http.get(path)).json()

    async def waiting(self) -> Any:
        return (await self.get("/v1/approvals?project_id=readme"))["items"]


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    with running("demo") as process:
        names = ("URL", "TOKEN", "RUNFOLD_KAFKA_BOOTSTRAP")
        assert process.stdout is not None
        demo = Demo(await asyncio.to_thread(words, process.stdout, *names))
        async with demo.http:
            yield demo


@pytest.fixture
def consumer(demo: Demo, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "engine.py"
    script.write_text(code, "utf-8")
    command, pipe = [sys.executable, str(script)], subprocess.PIPE
    env = environment(demo.variables)
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def decision(bootstrap: str, command_id: str) -> ConsumerRecord:
    reading = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with reading, asyncio.timeout(DEADLINE_S):
        async for each in reading:
            if json.loads(each.value)["id"] == command_id:
                return each
    raise AssertionError("unreachable: the topic has no end")


def record(run_id: str, event: dict[str, Any], partition: int | None = None) -> Record:
    headers = [("content-type", CONTENT_TYPE.encode())]
    return Record(TOPIC, run_id.encode(), json.dumps(event).encode(), partition, headers)


async def handled(bootstrap: str, partition: int, offset: int) -> bool:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="engine") as reading:
        return (await reading.committed(TopicPartition(TOPIC, partition)) or 0) > offset


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
        told = await demo.get(f"/v1/approvals/commands/{command}")
        return bool(told["status"] == "applied")

    await until(is_applied, DEADLINE_S, "the engine's answer in the views")
    assert (await demo.get(f"/v1/runs/{run_id}"))["run"]["state"] == "running"
    assert await demo.waiting() == []

    published = await decision(demo.bootstrap, command)
    event = json.loads(published.value)
    later = event | {"data": event["data"] | {"run_version": 2}}
    copies = [record(run_id, each, published.partition) for each in (event, later)]
    [*_, last] = await send(demo.bootstrap, copies)
    where = demo.bootstrap, published.partition, last
    await until(lambda: handled(*where), DEADLINE_S, "the copies")
    consumer.kill()
    assert await said(consumer) == ""
