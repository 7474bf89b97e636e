"""What the synthetic platform's projects, agents, tools and messages are called."""

from typing import Any, Final

PROJECTS: Final = (
    ("payments", "金流平台"),
    ("storefront", "線上商店"),
    ("logistics", "Logistics 物流"),
    ("identity", "Identity & SSO"),
    ("data-lake", "資料湖"),
    ("edge-cdn", "Edge CDN"),
)
CONTRACTS: Final = tuple(
    (project, family)
    for project, _ in PROJECTS
    for family in ("agent", "tool", "runbook", "policy")
)
AGENTS: Final = ("triage", "runbook", "deploy-guard", "capacity", "db-doctor", "cost-watch")
PEOPLE: Final = ("user:mei", "user:jonas", "user:amara", "user:kenji")
CHANNELS: Final = ("telegram", "slack", "alertmanager", "webhook")
SERVERS: Final = ("prometheus", "loki", "kubernetes", "postgres")
NODES: Final = ("sense", "diagnose", "act", "verify")
SOURCES: Final = {
    "run-state": "awooop.engine",
    "step-journal": "awooop.engine",
    "outbound-message": "awooop.channels",
    "conversation-event": "awooop.channels",
    "mcp-gateway-audit": "awooop.gateway",
    "mcp-legacy-audit": "awooop.mcp",
    "remediation-evidence": "awooop.remediation",
    "project": "awooop.registry",
    "contract-revision": "awooop.registry",
    "approval-command": "runfold",
}

READING_TOOLS: Final = (
    "prom.query",
    "loki.search",
    "k8s.get_pods",
    "k8s.describe",
    "git.log",
    "db.explain",
)
WRITING_TOOLS: Final = ("k8s.rollout_restart", "k8s.scale", "ssh.exec", "feature.toggle")
TOOLS: Final = READING_TOOLS + WRITING_TOOLS
ERRORS: Final = (
    ("tool_timeout", "tool did not answer within 30 s"),
    ("upstream_5xx", "上游服務回應 503"),
    ("budget_exceeded", "budget of the run is used up"),
)
ANSWERS: Final = (
    *[("success", None, None, None)] * 91,
    *[("failed", None, None, code) for code, _ in ERRORS] * 2,
    ("blocked", "scope", "scope write is not granted", None),
    ("blocked", "budget", "project budget is used up", None),
    ("blocked", "approval", "a human has to allow this first", None),
)
"""Result, gate that blocked, its reason and error code: how the gateway answers calls."""

ALERTS: Final = (
    "5xx 率超過 5%，最近 10 分鐘持續上升",
    "p99 latency above 2 s in checkout",
    "資料庫連線池即將耗盡",
    "disk usage over 90 % on node-7",
    "佇列延遲超過 15 分鐘",
    "certificate expires in 3 days",
)
PROGRESS: Final = (
    "查詢最近 30 分鐘的指標",
    "comparing with the previous deployment",
    "已定位到異常的 pod，準備重啟",
    "reading the runbook for this alert",
)
OUTCOMES: Final = (
    "AUTO RESOLVED：服務已恢復，錯誤率回到 0.1%",
    "AI 自動修復完成：restarted 3 pods, error rate is back to normal",
    "RUNBOOK REVIEW：a step of the runbook no longer fits",
    "AWOOOI CI/CD：rollback deployed",
    "no action was needed, the alert has cleared",
)
FAILURES: Final = (
    "HANDOFF REQUIRED：cannot find the cause, a human has to look",
    "AI 自動修復失敗：重啟後錯誤率沒有下降",
    "ESCALATION：still failing after 3 attempts",
    "事故升級：影響範圍擴大到結帳服務",
    "AI 治理警報：policy has stopped a write",
    "工具沒有回應，稍後再試",
)
REQUESTS: Final = ("ACTION REQUIRED {}", "may I go ahead? {}")
REASONS: Final = (
    "looks right",
    "影響範圍可接受",
    "agreed with the on-call",
    "not during peak hours",
)


def _remedy(mode: str, scope: str | None, writes: tuple[bool, bool] | None) -> dict[str, Any]:
    state, result = writes or (None, None)
    return {
        "mode": mode,
        "required_scope": scope,
        "success": True,
        "allowed": True,
        "writes_incident_state": state,
        "writes_auto_repair_result": result,
    }


REMEDIES: Final = (
    _remedy("dry_run", "read", (False, False)),
    _remedy("dry_run", "read", (False, False)),
    _remedy("observe", None, None),
    _remedy("apply", "write", (True, False)),
    _remedy("apply", "write", (True, True)),
    _remedy("dry_run", "read", (False, False)) | {"success": False},
    _remedy("apply", "write", (False, False)) | {"allowed": False},
)
"""Evidence of every kind: a run's remediation status follows from the latest."""
