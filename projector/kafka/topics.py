"""The topics on the broker: the missing ones are created, the others are looked at."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contracts.errors import OperationError
from contracts.settings import KafkaSettings, kafka_connection
from contracts.topics import TOPICS, Topic, topic_name

WAIT_SECONDS: Final = 30.0
VISIBLE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.2
BROKER_DEFAULT: Final = -1

log = structlog.get_logger(__name__)


class BrokerAway(OperationError):
    """No broker answered, or none let us in; clients do not tell the one from the other."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(
            f"the broker at {bootstrap} does not answer, or refuses the login:"
            " see the RUNFOLD_KAFKA_ settings"
        )


class TopicState(StrEnum):
    """What was found, and done, about one topic."""

    CREATED = "created"
    EXISTS = "already there"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic by its full name; `differences` says what is not as it should be."""

    name: str
    state: TopicState
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.differences:
            return f"{self.name}: {self.state}"
        return f"{self.name}: {self.state}: {', '.join(self.differences)}"


async def create_topics(
    settings: KafkaSettings, partitions: int, wait_seconds: float = WAIT_SECONDS
) -> list[TopicReport]:
    """Create the topics that are missing, as the contract configures them; leave others alone.

    Safe to call again and from several hosts at once. A broker that is away is waited for,
    `wait_seconds` at most. Raises `BrokerAway` when it stays away, `OperationError` when it
    refuses a topic.
    """
    names = {topic_name(settings.topic_prefix, topic.suffix): topic for topic in TOPICS}
    async with _admin(settings, wait_seconds) as admin:
        existing = await _partition_counts(admin)
        missing = {name: topic for name, topic in names.items() if name not in existing}
        created = await _create(admin, missing, partitions)
        counts = await _visible(admin, names.keys())
        configs = await _configs(admin, names)
    return [
        TopicReport(name, TopicState.CREATED)
        if name in created
        else _compared(name, topic, partitions, counts[name], configs[name])
        for name, topic in names.items()
    ]


async def partition_counts(settings: KafkaSettings) -> dict[str, int]:
    """Number of partitions of all topics on the broker, by full name.

    Raises `BrokerAway`.
    """
    async with _admin(settings, wait_seconds=0) as admin:
        return await _partition_counts(admin)


@asynccontextmanager
async def _admin(
    settings: KafkaSettings, wait_seconds: float
) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**kafka_connection(settings))
    try:
        await _connect(client, settings.kafka_bootstrap, wait_seconds)
        yield client
    except (KafkaError, OSError, TimeoutError) as error:
        raise OperationError(f"the broker at {settings.kafka_bootstrap} failed: {error}") from error
    finally:
        await client.close()


async def _connect(client: AIOKafkaAdminClient, bootstrap: str, wait_seconds: float) -> None:
    give_up = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            if time.monotonic() > give_up:
                raise BrokerAway(bootstrap) from error
        else:
            return
        if not told:
            log.warning("waiting for the broker", bootstrap=bootstrap, at_most_s=wait_seconds)
            told = True
        await asyncio.sleep(RETRY_SECONDS)


async def _create(
    admin: AIOKafkaAdminClient, missing: dict[str, Topic], partitions: int
) -> set[str]:
    """Return the names that were created here; another host may have been faster with some."""
    if not missing:
        return set()
    wanted = [
        NewTopic(name, partitions, BROKER_DEFAULT, {}, topic.config)
        for name, topic in missing.items()
    ]
    response = (await admin.create_topics(wanted)).to_object()
    created = set()
    for answer in response["topic_errors"]:
        kind = for_code(answer["error_code"])
        if answer["error_code"] == 0:
            created.add(answer["topic"])
        elif kind is not TopicAlreadyExistsError:
            reason = answer.get("error_message") or kind.__name__
            raise OperationError(f"the broker refuses topic {answer['topic']}: {reason}")
    return created


async def _visible(admin: AIOKafkaAdminClient, names: Set[str]) -> dict[str, int]:
    """Return the topics' numbers of partitions once the broker shows them all.

    A broker learns of a new topic a moment after its creation was confirmed.
    """
    give_up = time.monotonic() + VISIBLE_SECONDS
    while not names <= (counts := await _partition_counts(admin)).keys():
        if time.monotonic() > give_up:
            raise OperationError(f"the broker does not show {min(names - counts.keys())} yet")
        await asyncio.sleep(RETRY_SECONDS)
    return counts


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        resource["resource_name"]: _entries(resource["config_entries"])
        for response in await admin.describe_configs(resources)
        for resource in response.to_object()["resources"]
    }


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    # All topics are asked for: the embedded broker would make a topic that is named and missing.
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


def _entries(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {entry["config_names"]: entry["config_value"] for entry in entries}


def _compared(
    name: str, topic: Topic, partitions: int, found_partitions: int, found: dict[str, str]
) -> TopicReport:
    differences = []
    if found_partitions != partitions:
        differences.append(f"{found_partitions} partitions where {partitions} are asked for")
    differences += [
        f"{key} is {found.get(key, 'not set')} where {value} is needed"
        for key, value in topic.config.items()
        if found.get(key) != value
    ]
    state = TopicState.DIFFERS if differences else TopicState.EXISTS
    return TopicReport(name, state, tuple(differences))
