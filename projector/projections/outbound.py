"""Outbound messages of a run: `outbound_messages` of the detail, `outbound` in the timeline."""

from typing import Final

from contracts import incidents
from contracts.envelope import Event
from contracts.events import MessageOutbound
from contracts.keys import entity_key
from projector.projections.ranks import Rank
from projector.projections.rows import ItemRow, item_row
from projector.projections.text import dumps, fields

MARKERS: Final = (
    ("RUNBOOK REVIEW", "Runbook 待人工審核", "Runbook awaiting review"),
    ("AWOOOI CI/CD", "CI/CD 狀態通知", "CI/CD status"),
    ("AI 治理警報", "AI 治理警報", "AI governance alert"),
    ("HANDOFF REQUIRED", "AI 自動修復失敗，已轉人工", "AI repair failed, handed to a human"),
    ("AI 自動修復失敗", "AI 自動修復失敗，已轉人工", "AI repair failed, handed to a human"),
    ("AUTO RESOLVED", "AI 自動修復完成", "AI repair completed"),
    ("AI 自動修復完成", "AI 自動修復完成", "AI repair completed"),
    ("ESCALATION", "事故升級通知", "Incident escalation"),
    ("事故升級", "事故升級通知", "Incident escalation"),
    ("ACTION REQUIRED", "告警審批卡", "Alert approval card"),
)
"""What a preview says the message is about; of several markers the one listed first counts."""

BY_TYPE: Final = {
    "approval_request": ("人工審批請求", "Approval request"),
    "error": ("錯誤回覆", "Error reply"),
    "final": ("處置結果", "Outcome"),
    "interim": ("漸進式狀態回饋", "Progress update"),
}


def row(event: Event[MessageOutbound]) -> ItemRow:
    """Return the row of a message whose winning event this is."""
    data = event.data
    zh, en = label(data.content_preview, data.message_type)
    channel = data.channel_type.upper()
    mentioned = [*incidents.in_text(data.content_preview), *incidents.in_text(data.send_error)]
    return item_row(
        entity=entity_key("message", data.message_id),
        run_id=data.run_id,
        project_id=data.project_id,
        version=event.entityversion,
        event_time=event.time,
        event_id=event.id,
        ts=data.sent_at or data.queued_at,
        rank=Rank.OUTBOUND,
        seq=0,
        tie=data.message_id,
        listed_at=data.queued_at,
        kind="outbound",
        title=f"{channel}：{zh}",
        title_en=f"{channel}: {en}",
        status=data.send_status,
        summary=data.content_preview or data.send_error,
        metadata=dumps(
            {
                "message_type": data.message_type,
                "provider_message_id": data.provider_message_id,
                "triggered_by_state": data.triggered_by_state,
            }
        ),
        incidents=incidents.unique(mentioned) or None,
        run_version=None,
        detail=dumps(fields(data, "run_id", "project_id")),
    )


def label(preview: str | None, message_type: str) -> tuple[str, str]:
    """Return what a message is about, in zh-TW and in English."""
    for marker, zh, en in MARKERS:
        if preview and marker in preview:
            return zh, en
    return BY_TYPE.get(message_type, (message_type, message_type))
