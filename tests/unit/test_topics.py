"""The topics: names, types, keys and configuration."""

import pytest

from contracts.decoding import MAX_VALUE_BYTES
from contracts.topics import DEFAULT_PREFIX, MAX_MESSAGE_BYTES, TOPICS, Topic, by_suffix, topic_name

TYPES = {
    "run-state": "awooop.run.state_changed.v1",
    "step-journal": "awooop.run.step_recorded.v1",
    "outbound-message": "awooop.channel.message_outbound.v1",
    "conversation-event": "awooop.channel.event_received.v1",
    "mcp-gateway-audit": "awooop.mcp.gateway_call_audited.v1",
    "mcp-legacy-audit": "awooop.mcp.legacy_call_audited.v1",
    "remediation-evidence": "awooop.remediation.evidence_recorded.v1",
    "project": "awooop.project.upserted.v1",
    "contract-revision": "awooop.contract.revision_upserted.v1",
    "approval-command": "awooop.run.approval_decided.v1",
}


def test_ten_topics_with_one_type_each() -> None:
    assert {topic.suffix: topic.model.event_type for topic in TOPICS} == TYPES


def test_only_the_approval_commands_are_written_by_runfold() -> None:
    assert [topic.suffix for topic in TOPICS if topic.direction == "output"] == ["approval-command"]


def test_history_is_kept_and_catalogues_are_compacted() -> None:
    compacted = {topic.suffix for topic in TOPICS if topic.config["cleanup.policy"] == "compact"}
    assert compacted == {"project", "contract-revision"}
    assert {topic.config["cleanup.policy"] for topic in TOPICS} == {"compact", "delete"}
    assert {topic.config["retention.ms"] for topic in TOPICS} == {"-1"}


def test_a_record_too_large_for_an_event_still_gets_through() -> None:
    assert {topic.config["max.message.bytes"] for topic in TOPICS} == {str(MAX_MESSAGE_BYTES)}
    assert MAX_MESSAGE_BYTES > 2 * MAX_VALUE_BYTES


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.suffix)
def test_the_key_is_made_of_fields_of_the_payload(topic: Topic) -> None:
    assert by_suffix(topic.suffix) is topic
    assert set(topic.key.split(", else ")) <= {*topic.model.__struct_fields__}


def test_full_names() -> None:
    assert topic_name(DEFAULT_PREFIX, "run-state") == "awooop.run-state"
    assert topic_name("", "project") == "project"
    with pytest.raises(KeyError):
        by_suffix("awooop.run-state")
