"""Producers that compress their batches, each as it likes."""

from itertools import cycle

import asyncpg
from aiokafka import AIOKafkaProducer

from projector.kafka.publishing import HEADERS
from projector.settings import ProjectorSettings
from tests.histories import history
from tests.live import applied, running_worker, settings_of
from tests.reference import Record, load, run_list

CODECS = (None, "gzip", "snappy", "lz4", "zstd")


async def test_every_codec_of_kafka_is_read(
    database_url: str, bootstrap: str, topic_prefix: str
) -> None:
    settings = settings_of(database_url, bootstrap, topic_prefix)
    records = history(12, size=100)
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    try:
        async with running_worker(settings):
            for codec, share in zip(CODECS, shares(records), strict=True):
                await send(settings, codec, share)
            await applied(connection, len(records))
        runs = await connection.fetch("SELECT run_id::text FROM run")
        said = {each["run_id"] for each in run_list(load(records))}
        assert {row["run_id"] for row in runs} == said
    finally:
        await connection.close()


def shares(records: list[Record]) -> list[list[Record]]:
    dealt: list[list[Record]] = [[] for _ in CODECS]
    for record, share in zip(records, cycle(dealt), strict=False):
        share.append(record)
    return dealt


async def send(settings: ProjectorSettings, codec: str | None, records: list[Record]) -> None:
    bootstrap = settings.kafka_bootstrap
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec) as producer:
        for record in records:
            await producer.send_and_wait(
                settings.topic_prefix + record.topic,
                record.value,
                key=record.key.encode() if record.key is not None else None,
                headers=HEADERS,
            )
