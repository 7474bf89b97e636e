"""The topics: names, types, keys and configuration."""

from contracts.decoding import MAX_VALUE_BYTES
from contracts.topics import MAX_MESSAGE_BYTES, TOPICS
from tests.reference.contract import TYPES


def test_ten_topics_with_one_type_each_and_a_key_of_its_fields() -> None:
    assert {topic.suffix: topic.model.event_type for topic in TOPICS} == TYPES
    for topic in TOPICS:
        assert set(topic.key.split(", else ")) <= {*topic.model.__struct_fields__}


def test_history_is_kept_and_catalogues_are_compacted() -> None:
    compacted = {topic.suffix for topic in TOPICS if topic.config["cleanup.policy"] == "compact"}
    assert compacted == {"project", "contract-revision"}
    assert {topic.config["cleanup.policy"] for topic in TOPICS} == {"compact", "delete"}
    assert {topic.config["retention.ms"] for topic in TOPICS} == {"-1"}


def test_a_record_too_large_for_an_event_still_gets_through() -> None:
    assert {topic.config["max.message.bytes"] for topic in TOPICS} == {str(MAX_MESSAGE_BYTES)}
    assert MAX_MESSAGE_BYTES > 2 * MAX_VALUE_BYTES
