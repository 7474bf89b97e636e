"""What the synthetic platform's projects, agents, tools and messages are called."""

from typing import Final

PROJECTS: Final = (
    ("payments", "金流平台"),
    ("storefront", "線上商店"),
    ("logistics", "Logistics 物流"),
    ("identity", "Identity & SSO"),
    ("data-lake", "資料湖"),
    ("edge-cdn", "Edge CDN"),
)
AGENTS: Final = ("triage", "runbook", "deploy-guard", "capacity", "db-doctor", "cost-watch")
WORKERS: Final = tuple(f"engine-{number:02d}" for number in range(1, 9))
APPROVERS: Final = ("user:mei", "user:jonas", "user:amara", "user:kenji")
FAMILIES: Final = ("agent", "tool", "runbook", "policy")

TOOLS: Final = (
    ("prom.query", "read"),
    ("loki.search", "read"),
    ("k8s.get_pods", "read"),
    ("k8s.describe", "read"),
    ("git.log", "read"),
    ("db.explain", "read"),
    ("k8s.rollout_restart", "write"),
    ("k8s.scale", "write"),
    ("ssh.exec", "write"),
    ("feature.toggle", "write"),
)
WRITING_TOOLS: Final = tuple(name for name, scope in TOOLS if scope == "write")
SERVERS: Final = ("prometheus", "loki", "kubernetes", "postgres")
GATES: Final = (
    ("scope", "scope write is not granted"),
    ("budget", "project budget is used up"),
    ("approval", "a human has to allow this first"),
)
ERRORS: Final = (
    ("tool_timeout", "tool did not answer within 30 s"),
    ("upstream_5xx", "上游服務回應 503"),
    ("budget_exceeded", "budget of the run is used up"),
)
CHANNELS: Final = ("telegram", "slack", "alertmanager", "webhook")

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
    ("AUTO RESOLVED", "服務已恢復，錯誤率回到 0.1%"),
    ("AI 自動修復完成", "restarted 3 pods, error rate is back to normal"),
    ("RUNBOOK REVIEW", "a step of the runbook no longer fits"),
    ("AWOOOI CI/CD", "rollback deployed"),
)
FAILURES: Final = (
    ("HANDOFF REQUIRED", "cannot find the cause, a human has to look"),
    ("ESCALATION", "still failing after 3 attempts"),
    ("AI 治理警報", "policy has stopped a write"),
)
REASONS: Final = (
    "looks right",
    "影響範圍可接受",
    "agreed with the on-call",
    "not during peak hours",
)
NODES: Final = ("sense", "diagnose", "act", "verify")
