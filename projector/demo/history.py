"""A synthetic history: what a platform of agents would have published, determined by a seed.

The same arguments give the same bytes on every machine. Events come in order of time, and memory
holds only the runs that overlap, however long the history is.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from operator import attrgetter
from random import Random
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from contracts.topics import TOPICS
from projector.demo import words

T = TypeVar("T")
Data = dict[str, Any]

START: Final = datetime(2026, 5, 18, 6, tzinfo=UTC)
GAP_SECONDS: Final = 20.0
RUNS_PER_INCIDENT: Final = 4
"""So many runs in a row share a project and, those that are about one, an incident."""
RUNS_PER_REVISION: Final = 50
LONG_RUN, LONG_RUN_STEPS = 3, 150
"""The index of the one run whose timeline has hundreds of entries, and its steps."""
LEFT_PENDING, LEFT_RUNNING, OUT_OF = 7, 19, 60
"""Of so many runs these never begin or never end."""

SECOND: Final = 1_000_000
"""Instants and durations here are whole microseconds."""
_HOUR: Final = 3600 * SECOND
_EPOCH: Final = datetime(1970, 1, 1)
"""Without an offset, which makes it quicker to format; UTC is meant."""
_TYPES: Final = {topic.suffix: topic.type for topic in TOPICS}
_AT: Final = attrgetter("at")


class Generated(NamedTuple):
    """A record to publish: when it happens (microseconds since 1970), its topic by suffix."""

    at: int
    topic: str
    key: str
    value: bytes

    @property
    def line(self) -> bytes:
        """The record as a line of JSONL, as `runfold publish` reads it."""
        head = msgspec.json.encode({"topic": self.topic, "key": self.key})
        return head[:-1] + b',"value":' + self.value + b"}\n"


def history(
    seed: int, runs: int | None, start: datetime = START, gap_seconds: float = GAP_SECONDS
) -> Iterator[Generated]:
    """Yield the events of `runs` runs (endless when None), all valid, in order of time.

    A new run begins every `gap_seconds` after `start`.
    """
    began = (start.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)
    gap = int(gap_seconds * SECOND)
    pending = list(_projects(seed, began - _HOUR))
    for index in count() if runs is None else range(runs):
        now = began + index * gap
        pending.sort(key=_AT)
        due = bisect_left(pending, now, key=_AT)
        yield from pending[:due]
        del pending[:due]
        if index and index % RUNS_PER_REVISION == 0:
            nth = len(words.CONTRACTS) + index // RUNS_PER_REVISION - 1
            pending += _revised(seed, nth, now)
        pending += _Run(seed, index, began, gap).live()
    yield from sorted(pending, key=_AT)


class _Chance:
    """Chance that falls the same way for a seed on every machine and every Python.

    Of all that `Random` offers only `random` and `getrandbits` keep their values between versions.
    """

    def __init__(self, *seed: int | str) -> None:
        source = Random(":".join(map(str, seed)))  # noqa: S311 - chance, not secrets
        self._random, self._bits = source.random, source.getrandbits

    def happens(self, probability: float) -> bool:
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def mostly_low(self, low: int, high: int) -> int:
        return low + int(self._random() ** 3 * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def uuid(self) -> str:
        return str(UUID(int=self._bits(128), version=4))


def _time(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds") + "Z"


def _event(at: int, topic: str, key: str, data: Data, *, name: str, version: int = 0) -> Generated:
    envelope: Data = {"specversion": "1.0", "id": name, "source": words.SOURCES[topic]}
    envelope |= {"type": _TYPES[topic], "time": _time(at), "subject": key}
    envelope |= {"entityversion": version, "data": data}
    return Generated(at, topic, key, msgspec.json.encode(envelope))


def _projects(seed: int, at: int) -> Iterator[Generated]:
    """Yield every project and the first revision of every contract."""
    for project_id, name in words.PROJECTS:
        chance = _Chance(seed, "project", project_id)
        mode, budget = chance.pick(("live", "live", "shadow")), f"{chance.between(50, 2_000)}.50"
        data: Data = {"project_id": project_id, "display_name": name, "created_at": _time(at)}
        data |= {"migration_mode": mode, "budget_limit_usd": budget}
        yield _event(at, "project", project_id, data, name=f"{seed}-{project_id}")
    for nth in range(len(words.CONTRACTS)):
        yield from _revised(seed, nth, at)


def _revised(seed: int, nth: int, at: int) -> Iterator[Generated]:
    """Yield what makes a contract's next revision active; contracts take turns."""
    minor, contract = divmod(nth, len(words.CONTRACTS))
    project_id, family = words.CONTRACTS[contract]
    data: Data = {"project_id": project_id, "contract_id": f"{project_id}/{family}"}
    data |= {"contract_family": family, "version_major": 1, "created_at": _time(at)}
    for number, status in ((minor - 1, "retired"), (minor, "active")):
        if number >= 0:
            revision_id = f"{project_id}/{family}@1.{number}"
            digest = sha256(revision_id.encode()).hexdigest()
            new = data | {"revision_id": revision_id, "version_minor": number, "body_hash": digest}
            new, version = new | {"lifecycle_status": status}, int(status == "retired")
            name = f"{seed}-{revision_id}-{status}"
            yield _event(at, "contract-revision", revision_id, new, name=name, version=version)


class _Run:
    """One run as it lives: `at` is its clock, and `events` what has been published of it."""

    def __init__(self, seed: int, index: int, start: int, gap: int) -> None:
        self.index, self.chance = index, _Chance(seed, "run", index)
        chance = self.chance
        group = index // RUNS_PER_INCIDENT
        shared = _Chance(seed, "group", group)
        self.project_id, _ = words.PROJECTS[shared.mostly_low(0, len(words.PROJECTS) - 1)]
        self.alert = shared.pick(words.ALERTS)
        self.at = start + index * gap + chance.between(0, gap)
        self.events: list[Generated] = []
        self.version = self.steps = self.cost = 0
        self.run_id, self.agent_id = chance.uuid(), chance.pick(words.AGENTS)
        self.channel = chance.pick(words.CHANNELS)
        self.ids: Data = {"run_id": self.run_id, "project_id": self.project_id}
        trigger = chance.pick(("alert", "alert", "alert", "chat", "schedule", "manual"))
        self.inbound_id, self.provider_id = chance.uuid(), f"{trigger}-{seed}-{index}"
        self.is_heard = trigger in {"alert", "chat"}
        day = _time(start + group * RUNS_PER_INCIDENT * gap)[:10].replace("-", "")
        has_incident = index == LONG_RUN or (self.is_heard and chance.happens(0.6))
        self.incident_id = f"INC-{day}-{group:04d}" if has_incident else None
        # Some writers have a UUID in capitals; it is the same UUID.
        chat = self.inbound_id.upper() if chance.happens(0.3) else self.inbound_id
        references = {"alert": self.provider_id, "chat": chat, "schedule": "cron:0 * * * *"}
        created, timeout = _time(self.at), _time(self.at + _HOUR)
        self.snapshot = self.ids | {"agent_id": self.agent_id, "created_at": created}
        self.snapshot |= {"trigger_type": trigger, "trigger_ref": references.get(trigger)}
        self.snapshot |= {"trace_id": self.run_id.replace("-", ""), "max_attempts": 3}
        self.snapshot |= {"is_shadow": chance.happens(0.1), "timeout_at": timeout}

    def live(self) -> list[Generated]:
        """Return the events of the run's whole life; some runs never come to an end."""
        chance = self.chance
        if self.is_heard:
            self._hear()
        self._enter("pending", attempt_count=0)
        if self.index % OUT_OF == LEFT_PENDING:
            return self.events
        self._pass(200, 3_000)
        worker = f"engine-{chance.between(1, 8):02d}"
        self._enter("running", attempt_count=1, worker_id=worker, started_at=_time(self.at))
        self._work(LONG_RUN_STEPS if self.index == LONG_RUN else chance.mostly_low(3, 20))
        if chance.happens(0.5):
            self._say("interim", chance.pick(words.PROGRESS))
        if self.incident_id:
            self._look_into(self.incident_id)
        if chance.happens(0.25) and not self._ask_a_human():
            return self.events
        self._work(chance.mostly_low(1, 10))
        if self.index % OUT_OF != LEFT_RUNNING:
            self._end()
        return self.events

    def _pass(self, low_ms: int, high_ms: int) -> int:
        """Let time go by; return the milliseconds."""
        milliseconds = self.chance.mostly_low(low_ms, high_ms)
        self.at += milliseconds * 1000 + self.chance.between(0, 999)
        return milliseconds

    def _tell(self, topic: str, data: Data, key: str | None = None, version: int = 0) -> None:
        name = f"{self.run_id}-{len(self.events)}"
        event = _event(self.at, topic, key or self.run_id, data, name=name, version=version)
        self.events.append(event)
        # Now and then an event comes twice, as from any producer that retries.
        if self.chance.happens(0.005):
            self.events.append(event._replace(at=event.at + 5 * SECOND))

    def _about(self, text: str) -> str:
        return f"{text} {self.incident_id}" if self.incident_id else text

    def _enter(self, state: str, **changes: Any) -> None:
        self.snapshot |= {"state": state, "state_changed_at": _time(self.at), **changes}
        self._tell_snapshot()

    def _tell_snapshot(self) -> None:
        self.version += 1
        cost = f"{self.cost / 1_000_000:.6f}"
        self.snapshot |= {
            "step_count": self.steps,
            "cost_usd": cost,
            "heartbeat_at": _time(self.at),
        }
        self._tell("run-state", self.snapshot, version=self.version)

    def _hear(self) -> None:
        """Publish what set the run off; half of the channels know the run already."""
        run_id = self.run_id if self.chance.happens(0.5) else None
        incidents = {"source_refs": {"incident_ids": [self.incident_id]}}
        data = self.ids | {"run_id": run_id, "event_id": self.inbound_id}
        data |= {"provider_event_id": self.provider_id, "received_at": _time(self.at)}
        data |= {"channel_type": self.channel, "content_preview": self._about(self.alert)}
        data |= {"source_envelope": incidents if self.incident_id else None}
        data |= {"is_duplicate": self.chance.happens(0.05)}
        self._tell("conversation-event", data, run_id or self.provider_id)
        self._pass(50, 900)

    def _work(self, steps: int) -> None:
        for _ in range(steps):
            self._step(self.chance.pick(words.TOOLS))
            if self.steps % 4 == 0:
                self._tell_snapshot()

    def _step(self, tool: str) -> None:
        """Begin a step, have the gateway answer its call, end the step."""
        self.steps += 1
        step = self.ids | {"step_id": f"{self.run_id}/{self.steps}", "step_seq": self.steps}
        step |= {"tool_name": tool, "result_status": "running", "created_at": _time(self.at)}
        self._tell("step-journal", step)
        latency, now = self._pass(20, 9_000), _time(self.at)
        status, gate, reason, error = self.chance.pick(words.ANSWERS)
        scope = "read" if tool in words.READING_TOOLS else "write"
        policy = {"required_scope": scope, "policy_enforced": scope == "write"}
        policy["is_shadow"] = self.snapshot["is_shadow"]
        answer = {"result_status": status, "block_reason": reason, "latency_ms": latency}
        call = self.ids | answer | {"call_id": f"{self.run_id}#{self.steps}", "tool_name": tool}
        call |= {"agent_id": self.agent_id, "block_gate": gate, "gate_result": policy}
        self._tell("mcp-gateway-audit", call | {"created_at": now})
        step |= answer | {"was_blocked": gate is not None, "error_code": error}
        self._tell("step-journal", step | {"completed_at": now}, version=1)
        self.cost += self.chance.mostly_low(40, 9_000)
        self._pass(10, 4_000)

    def _say(self, kind: str, text: str) -> None:
        """Queue a message, then send it; some are not taken."""
        message = self.ids | {"message_id": f"{self.run_id}!{len(self.events)}"}
        message |= {"channel_type": self.channel, "message_type": kind}
        message |= {"content_preview": self._about(text), "queued_at": _time(self.at)}
        message |= {"send_status": "queued", "triggered_by_state": self.snapshot["state"]}
        self._tell("outbound-message", message)
        self._pass(80, 1_500)
        sent: Data = {"send_status": "sent", "sent_at": _time(self.at)}
        sent["provider_message_id"] = f"{self.channel}:{self.chance.between(10_000, 99_999)}"
        if self.chance.happens(0.03):
            sent = {"send_status": "failed", "send_error": f"{self.channel} answered 429"}
        self._tell("outbound-message", message | sent, version=1)

    def _look_into(self, incident_id: str) -> None:
        """Call tools past the gateway, and try remedies."""
        chance, about = self.chance, {"incident_id": incident_id}
        for _ in range(chance.mostly_low(1, 5)):
            call: Data = about | {"id": chance.between(1, 2**53), "agent_role": self.agent_id}
            call |= {"project_id": self.project_id if chance.happens(0.7) else None}
            call |= {"session_id": self.run_id[:8], "flywheel_node": chance.pick(words.NODES)}
            call |= {
                "mcp_server": chance.pick(words.SERVERS),
                "tool_name": chance.pick(words.TOOLS),
            }
            call |= {"duration_ms": self._pass(20, 3_000), "created_at": _time(self.at)}
            call |= {"success": chance.pick((True, True, True, True, None))}
            if chance.happens(0.15):
                call |= {"success": False, "error_message": chance.pick(words.ERRORS)[1]}
            self._tell("mcp-legacy-audit", call, incident_id)
        for _ in range(chance.mostly_low(0, 4)):
            self._pass(100, 5_000)
            item: Data = about | {"id": chance.uuid(), "work_item_id": f"ADR-100/{incident_id}"}
            item |= {"project_id": self.project_id if chance.happens(0.8) else None}
            item |= {"agent_id": self.agent_id, "tool_name": chance.pick(words.TOOLS)}
            preview = chance.pick(("success", "degraded", "no change"))
            item |= {"verification_result_preview": preview, "created_at": _time(self.at)}
            self._tell("remediation-evidence", item | chance.pick(words.REMEDIES), incident_id)

    def _ask_a_human(self) -> bool:
        """Wait for approval; return whether the run goes on. Some wait until they are decided."""
        chance = self.chance
        tool, timeout = chance.pick(words.WRITING_TOOLS), self.at + _HOUR // 6
        action = {"tool_name": tool, "arguments_sha256": sha256(self.run_id.encode()).hexdigest()}
        requester = chance.pick((f"agent:{self.agent_id}", chance.pick(words.PEOPLE), None))
        pending = action | {"summary": f"{tool} 以處理：{self.alert}", "requested_by": requester}
        fate = chance.pick(("approve", "approve", "approve", "reject", "too late", "open"))
        end = None if fate == "open" else _time(timeout)
        self._enter("waiting_approval", pending_action=pending, timeout_at=end)
        self._say("approval_request", chance.pick(words.REQUESTS).format(self.alert))
        if fate == "open":
            return False
        if fate == "too late":
            self.at = timeout
            self._enter("timed_out", pending_action=None, completed_at=_time(timeout))
            return False
        self._pass(5_000, 400_000)
        state = "running" if fate == "approve" else "cancelled"
        decision = self.ids | action | {"command_id": chance.uuid(), "decision": fate}
        decision |= {"approver_id": chance.pick(words.PEOPLE), "reason": chance.pick(words.REASONS)}
        decision |= {"run_version": self.version, "new_state": state, "decided_at": _time(self.at)}
        decision |= {"approval_token_jti": chance.uuid() if fate == "approve" else None}
        self._tell("approval-command", decision)
        self._pass(300, 3_000)
        if fate == "reject":
            self._enter("cancelled", pending_action=None, completed_at=_time(self.at))
            return False
        self._enter("running", pending_action=None)
        self._step("operator_console.approve")
        return True

    def _end(self) -> None:
        code, text = self.chance.pick(words.ERRORS)
        if self.chance.happens(0.15):
            ended = {"error_code": code, "error_detail": self._about(text)}
            self._enter("failed", completed_at=_time(self.at), **ended)
            self._say("error", self.chance.pick(words.FAILURES))
        else:
            self._enter("completed", completed_at=_time(self.at))
            self._say("final", self.chance.pick(words.OUTCOMES))
