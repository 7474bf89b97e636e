"""Readers of the log without a group: what becomes of one that has nothing to read."""

import pytest
from aiokafka.errors import KafkaError

from contracts.settings import KafkaSettings
from projector.log_reader import log_reader


async def test_one_that_is_asked_for_nothing_ends_without_a_fault(bootstrap: str) -> None:
    async with log_reader(KafkaSettings(kafka_bootstrap=bootstrap), "test") as kafka:
        assert not kafka.assignment()


async def test_a_broker_that_is_away_is_a_fault_of_the_client(unused_tcp_port: int) -> None:
    settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{unused_tcp_port}")
    with pytest.raises(KafkaError):
        async with log_reader(settings, "test"):
            pass
