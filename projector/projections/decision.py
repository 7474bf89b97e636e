"""Approval decisions: `approval` in the timeline, and the queue's `decision`."""

from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.keys import decision_key
from projector.projections.ranks import Rank
from projector.projections.rows import ItemRow, item_row
from projector.projections.text import dumps


def row(event: Event[ApprovalDecided]) -> ItemRow:
    """Return the row of a decision whose winning event this is.

    Its `detail` is what the approval queue shows of it: on the topic it has been published.
    """
    data = event.data
    zh, en = ("核准", "approved") if data.decision == "approve" else ("拒絕", "rejected")
    return item_row(
        entity=decision_key(data.command_id),
        run_id=data.run_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        ts=data.decided_at,
        rank=Rank.DECISION,
        seq=0,
        tie=data.command_id,
        listed_at=data.decided_at,
        kind="approval",
        title=f"人工審批：{zh}",
        title_en=f"Human approval: {en}",
        status=data.decision,
        summary=f"{data.approver_id}: {data.reason or '-'}",
        metadata=dumps(
            {
                "command_id": data.command_id,
                "approver_id": data.approver_id,
                "approval_token_jti": data.approval_token_jti,
                "run_version": data.run_version,
            }
        ),
        incidents=None,
        run_version=data.run_version,
        detail=dumps(
            {
                "command_id": data.command_id,
                "decision": data.decision,
                "approver_id": data.approver_id,
                "decided_at": data.decided_at,
                "status": "published",
            }
        ),
    )
