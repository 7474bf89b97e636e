"""Where the workers, the producer and the judge of one test meet."""

import os
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import KafkaSettings
from contracts.topics import TOPICS, topic_name
from projector.kafka.topics import create_topics

PARTITIONS = 3
SUFFIXES = tuple(topic.suffix for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class Site:
    """A migrated database, topics on a broker, and a directory for what workers write."""

    database_url: str
    bootstrap: str
    prefix: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a `runfold` command that shall work here."""
        outer = {name: value for name, value in os.environ.items() if "RUNFOLD_" not in name}
        return outer | {
            "RUNFOLD_DATABASE_URL": self.database_url,
            "RUNFOLD_KAFKA_BOOTSTRAP": self.bootstrap,
            "RUNFOLD_TOPIC_PREFIX": self.prefix,
            "RUNFOLD_GROUP_ID": f"{self.prefix}workers",
            "RUNFOLD_LOG_FORMAT": "json",
            # Small polls: many transactions, many instants to crash at.
            "RUNFOLD_POLL_MAX_RECORDS": "50",
        }

    def topic(self, suffix: str) -> str:
        """The topic's full name."""
        return topic_name(self.prefix, suffix)

    async def create_topics(self) -> None:
        """All topics of the contract."""
        settings = KafkaSettings(kafka_bootstrap=self.bootstrap, topic_prefix=self.prefix)
        await create_topics(settings, PARTITIONS)
