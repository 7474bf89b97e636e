"""The titles of timeline items, each as (Traditional Chinese, English)."""

from tests.reference.platform import Row

Title = tuple[str, str]

LANGUAGES = ("zh-TW", "en")

RUN_CREATED: Title = ("Run 建立", "Run created")
RUN_STARTED: Title = ("Run 開始執行", "Run started")
RUN_ENDED: Title = ("Run 結束", "Run ended")
REMEDIATION: Title = ("ADR-100 補救試跑", "ADR-100 remediation dry run")

VERDICTS: dict[str, Title] = {"approve": ("核准", "approved"), "reject": ("拒絕", "rejected")}

MARKERS: tuple[tuple[tuple[str, ...], Title], ...] = (
    (("RUNBOOK REVIEW",), ("Runbook 待人工審核", "Runbook awaiting review")),
    (("AWOOOI CI/CD",), ("CI/CD 狀態通知", "CI/CD status")),
    (("AI 治理警報",), ("AI 治理警報", "AI governance alert")),
    (
        ("HANDOFF REQUIRED", "AI 自動修復失敗"),
        ("AI 自動修復失敗，已轉人工", "AI repair failed, handed to a human"),
    ),
    (("AUTO RESOLVED", "AI 自動修復完成"), ("AI 自動修復完成", "AI repair completed")),
    (("ESCALATION", "事故升級"), ("事故升級通知", "Incident escalation")),
    (("ACTION REQUIRED",), ("告警審批卡", "Alert approval card")),
)

MESSAGE_TYPES: dict[str, Title] = {
    "approval_request": ("人工審批請求", "Approval request"),
    "error": ("錯誤回覆", "Error reply"),
    "final": ("處置結果", "Outcome"),
    "interim": ("漸進式狀態回饋", "Progress update"),
}


def state(name: str) -> Title:
    return (f"狀態：{name}", f"State: {name}")


def inbound(row: Row) -> Title:
    channel = row["channel_type"]
    return (f"{channel} 入站事件", f"{channel} inbound event")


def step(row: Row) -> Title:
    seq, tool = row["step_seq"], row["tool_name"]
    console, _, verb = tool.partition(".")
    if console == "operator_console" and verb in VERDICTS:
        chinese, english = VERDICTS[verb]
        return (f"人工審批 {seq}: {chinese}", f"Human approval {seq}: {english}")
    return both(f"Step {seq}: {tool}")


def gateway_call(row: Row) -> Title:
    return both(f"MCP: {row['tool_name']}")


def legacy_record(row: Row) -> Title:
    named = "/".join(part for part in (row["mcp_server"], row["tool_name"]) if part)
    return both(f"Legacy MCP: {named or 'unknown'}")


def decision(row: Row) -> Title:
    chinese, english = VERDICTS[row["decision"]]
    return (f"人工審批：{chinese}", f"Human approval: {english}")


def outbound(row: Row) -> Title:
    channel = row["channel_type"].upper()
    chinese, english = label(row)
    return (f"{channel}：{chinese}", f"{channel}: {english}")


def label(row: Row) -> Title:
    preview = row["content_preview"] or ""
    for markers, title in MARKERS:
        if any(marker in preview for marker in markers):
            return title
    return MESSAGE_TYPES.get(row["message_type"], both(row["message_type"]))


def both(text: str) -> Title:
    return (text, text)
