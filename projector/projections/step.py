"""Steps of a run: `steps` of the detail, `step` and console `approval` in the timeline."""

from typing import Final

from contracts.envelope import Event
from contracts.events import StepRecorded
from contracts.keys import entity_key
from projector.projections.ranks import Rank
from projector.projections.rows import ItemRow, item_row
from projector.projections.text import dumps, fields

CONSOLE: Final = "operator_console."
"""Tools with this prefix are an operator's own doing."""

VERDICTS: Final = {
    "operator_console.approve": ("核准", "approved"),
    "operator_console.reject": ("拒絕", "rejected"),
}


def row(event: Event[StepRecorded]) -> ItemRow:
    """Return the row of a step whose winning event this is."""
    data = event.data
    title, title_en = _titles(data)
    return item_row(
        entity=entity_key("step", data.run_id, data.step_id),
        run_id=data.run_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        ts=data.completed_at or data.created_at,
        rank=Rank.STEP,
        seq=data.step_seq,
        tie=data.step_id,
        listed_at=None,
        kind="approval" if data.tool_name.startswith(CONSOLE) else "step",
        title=title,
        title_en=title_en,
        status=data.result_status,
        summary=data.block_reason or data.error_code,
        metadata=dumps({"was_blocked": data.was_blocked, "latency_ms": data.latency_ms}),
        incidents=None,
        run_version=None,
        detail=dumps(fields(data, "run_id", "project_id")),
    )


def _titles(data: StepRecorded) -> tuple[str, str]:
    if verdict := VERDICTS.get(data.tool_name):
        zh, en = verdict
        return f"人工審批 {data.step_seq}: {zh}", f"Human approval {data.step_seq}: {en}"
    title = f"Step {data.step_seq}: {data.tool_name}"
    return title, title
