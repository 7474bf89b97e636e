"""The events of one generated run, from the alert that set it off to its end."""

from typing import Any, Final

from projector.demo import generate_payloads as payloads
from projector.demo.generate_case import Case
from projector.demo.generate_envelope import SECOND, Generated, generated, timestamp
from projector.demo.generate_words import (
    CHANNELS,
    ERRORS,
    FAILURES,
    OUTCOMES,
    PROGRESS,
    TOOLS,
    WORKERS,
    WRITING_TOOLS,
)

STEPS_PER_SNAPSHOT: Final = 4
APPROVAL_SECONDS: Final = 600
REDELIVERED: Final = 0.005
"""Share of events that come a second time, as from any producer that retries."""


def run_events(case: Case) -> list[Generated]:
    """Return the events of the run in order of time."""
    run = _Run(case)
    run.live()
    return sorted(run.events, key=lambda event: event.at)


class _Run:
    """A run as it lives: `at` is its clock, and what it goes through is told as events."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.dice = case.dice
        self.events: list[Generated] = []
        self.at = case.created_at
        self.version = 0
        self.steps = 0
        self.cost_micros = 0
        self.snapshot: dict[str, Any] = {
            "run_id": case.run_id,
            "project_id": case.project_id,
            "agent_id": case.agent_id,
            "created_at": timestamp(case.created_at),
            "is_shadow": case.is_shadow,
            "trace_id": case.run_id.replace("-", ""),
            "trigger_type": case.trigger_type,
            "trigger_ref": case.trigger_ref,
            "max_attempts": 3,
            "timeout_at": timestamp(case.created_at + 3600 * SECOND),
        }

    def live(self) -> None:
        """Go through the whole life of the run."""
        self._hear()
        self._enter("pending", attempt_count=0)
        self._pass(200, 3_000)
        worker = self.dice.pick(WORKERS)
        self._enter("running", attempt_count=1, worker_id=worker, started_at=timestamp(self.at))
        self._investigate()
        if self.dice.chance(0.25) and not self._ask_a_human():
            return
        self._work(self.dice.mostly_low(1, 10))
        self._end()

    def _pass(self, low_ms: int, high_ms: int) -> int:
        """Let time go by; return the milliseconds."""
        milliseconds = self.dice.mostly_low(low_ms, high_ms)
        self.at += milliseconds * 1000 + self.dice.between(0, 999)
        return milliseconds

    def _tell(
        self, topic: str, data: payloads.Data, source: str, *, key: str = "", version: int = 0
    ) -> None:
        event = generated(
            self.at,
            topic,
            key or self.case.run_id,
            data,
            identity=f"{self.case.run_id}-{len(self.events)}",
            source=source,
            version=version,
        )
        self.events.append(event)
        if self.dice.chance(REDELIVERED):
            self.events.append(event._replace(at=event.at + 5 * SECOND))

    def _enter(self, state: str, **changes: Any) -> None:
        self.snapshot |= {"state": state, "state_changed_at": timestamp(self.at), **changes}
        self._tell_snapshot()

    def _tell_snapshot(self) -> None:
        self.version += 1
        data = self.snapshot | {
            "step_count": self.steps,
            "cost_usd": self.cost_micros / 1_000_000,
            "heartbeat_at": timestamp(self.at),
        }
        self._tell("run-state", data, "awooop.engine", version=self.version)

    def _hear(self) -> None:
        if self.case.inbound_id is None:
            return
        linked = self.dice.chance(0.5)
        data = payloads.inbound(self.case, self.at, linked=linked)
        key = "" if linked else data["provider_event_id"]
        self._tell("conversation-event", data, "awooop.channels", key=key)
        self._pass(50, 900)

    def _investigate(self) -> None:
        self._work(self.dice.mostly_low(3, 20))
        if self.dice.chance(0.5):
            self._say("interim", self.dice.pick(PROGRESS))
        if self.case.incident_id is not None:
            for _ in range(self.dice.mostly_low(1, 5)):
                self._call_past_the_gateway(self.case.incident_id)
            for _ in range(self.dice.mostly_low(0, 4)):
                self._remediate(self.case.incident_id)

    def _work(self, steps: int) -> None:
        for _ in range(steps):
            self._step(*self.dice.pick(TOOLS))
            if self.steps % STEPS_PER_SNAPSHOT == 0:
                self._tell_snapshot()

    def _step(self, tool: str, scope: str) -> None:
        self.steps += 1
        step = payloads.step_begun(self.case, self.at, self.steps, tool)
        self._tell("step-journal", step, "awooop.engine")
        latency = self._pass(20, 9_000)
        call = payloads.gateway_call(self.case, self.at, self.steps, tool, scope)
        self._tell("mcp-gateway-audit", call | {"latency_ms": latency}, "awooop.gateway")
        step |= payloads.step_outcome(self.case, self.at, call, latency)
        self._tell("step-journal", step, "awooop.engine", version=1)
        self.cost_micros += self.dice.mostly_low(40, 9_000)
        self._pass(10, 4_000)

    def _say(self, kind: str, text: str) -> None:
        channel, state = self.dice.pick(CHANNELS), self.snapshot["state"]
        message = payloads.message_queued(
            self.case,
            self.at,
            len(self.events),
            channel=channel,
            kind=kind,
            text=text,
            state=state,
        )
        self._tell("outbound-message", message, "awooop.channels")
        self._pass(80, 1_500)
        message |= payloads.message_outcome(self.case, self.at, channel)
        self._tell("outbound-message", message, "awooop.channels", version=1)

    def _call_past_the_gateway(self, incident_id: str) -> None:
        duration = self._pass(20, 3_000)
        data = payloads.legacy_call(self.case, self.at, duration)
        self._tell("mcp-legacy-audit", data, "awooop.mcp", key=incident_id)

    def _remediate(self, incident_id: str) -> None:
        self._pass(100, 5_000)
        data = payloads.evidence(self.case, self.at)
        self._tell("remediation-evidence", data, "awooop.remediation", key=incident_id)

    def _ask_a_human(self) -> bool:
        """Wait for approval; return whether the run goes on."""
        action = payloads.pending_action(self.case, self.dice.pick(WRITING_TOOLS))
        timeout = self.at + APPROVAL_SECONDS * SECOND
        self._enter("waiting_approval", pending_action=action, timeout_at=timestamp(timeout))
        self._say("approval_request", f"ACTION REQUIRED {self.case.alert}")
        if self.dice.chance(0.15):
            self.at = timeout
            self._enter("timed_out", pending_action=None, completed_at=timestamp(self.at))
            return False
        self._pass(5_000, 400_000)
        decision = payloads.decision(self.case, self.at, self.version, action)
        self._tell("approval-command", decision, "runfold")
        self._pass(300, 3_000)
        if decision["new_state"] == "cancelled":
            self._enter("cancelled", pending_action=None, completed_at=timestamp(self.at))
            return False
        self._enter("running", pending_action=None)
        self._step("operator_console.approve", "write")
        return True

    def _end(self) -> None:
        ended = {"completed_at": timestamp(self.at)}
        if self.dice.chance(0.12):
            code, text = self.dice.pick(ERRORS)
            detail = payloads.mentioning(text, self.case)
            self._enter("failed", error_code=code, error_detail=detail, **ended)
            self._say("error", "：".join(self.dice.pick(FAILURES)))
        else:
            self._enter("completed", **ended)
            self._say("final", "：".join(self.dice.pick(OUTCOMES)))
