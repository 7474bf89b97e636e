"""What the endpoints answer, as the OpenAPI document states it: lists, decisions, errors.

`api.detail_schemas` and `api.operations_schemas` have the rest.

The bytes themselves come from PostgreSQL and are not made from these models; tests hold every
answer against them, both ways: nothing missing, nothing besides.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.parameters import RemediationStatus

Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Money = Annotated[float, Field(ge=0)]
"""An amount in US dollars, with all its digits."""
Count = Annotated[int, Field(ge=0)]
Metadata = dict[str, Any]
Verdict = Literal["approve", "reject"]
CommandStatus = Literal["pending", "published", "applied"]


class Answer(BaseModel):
    """An object of exactly these members."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class View(Answer):
    """An answer that was read from a view."""

    as_of: datetime | None
    """Commit time of the newest batch the view contains; null before the first one."""


class Page(View):
    """A page of a list."""

    total: Count
    """Exact number of rows the filters find."""
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""


class ProblemError(Answer):
    """What is wrong with one parameter."""

    parameter: str
    detail: str


class DecisionMade(Answer):
    """A decision on a run."""

    command_id: Uuid
    decision: Verdict
    approver_id: str
    decided_at: datetime


class ProblemDetails(Answer):
    """An error (RFC 9457)."""

    type: str
    """Kind of problem as a URI; `about:blank`: the status says it."""
    title: str
    """The status in words."""
    status: int
    detail: str
    """What is wrong, for people."""
    code: str
    """What is wrong, for programs; stable."""
    errors: list[ProblemError] = []
    """Parameters that are wrong; only where there are some."""
    decision: DecisionMade = None  # type: ignore[assignment]
    """With `already_decided`: the decision that there is."""


class Project(Answer):
    """A project as it is now."""

    project_id: str
    display_name: str
    migration_mode: str | None
    budget_limit_usd: Money | None
    """Most it may spend; null is no limit."""
    is_active: bool
    created_at: datetime


class Projects(View):
    """The projects by their id."""

    tenants: list[Project]
    total: Count


class Revision(Answer):
    """A contract revision as it is now."""

    revision_id: str
    contract_id: str
    contract_family: str
    lifecycle_status: str
    body_hash: str
    version_major: Count
    version_minor: Count
    created_at: datetime
    project_id: str


class RevisionPage(Page):
    """A page of contract revisions, newest first."""

    contracts: list[Revision]


class InboundEvent(Answer):
    """An event that came in through a channel."""

    event_id: Uuid
    channel_type: str
    provider_event_id: str | None
    channel_chat_id: str | None
    content_preview: str | None
    is_duplicate: bool
    received_at: datetime


class ChannelEvent(InboundEvent):
    """An inbound event and its project."""

    project_id: str


class ChannelEvents(View):
    """The newest inbound events."""

    events: list[ChannelEvent]
    total: Count
    """How many there are in `events`."""
    limit: int


class RemediationSummary(Answer):
    """What has been tried for the incidents of a run."""

    schema_version: Literal["awooop_run_remediation_summary_v1"]
    source: Literal["alert_operation_log", "mcp_audit_log", "none"]
    """Where the summary comes from: remediation items, else legacy records."""
    incident_ids: list[str]
    """Incidents of the run, in order of first appearance."""
    total: Count
    """Remediation items."""
    evidence_total: Count
    """Remediation items and legacy records."""
    status: RemediationStatus
    """What the latest item shows."""
    has_dry_run: bool
    """Whether there is any remediation item."""
    has_mcp_investigation: bool
    """Whether there is any legacy record."""
    is_read_only: bool
    """Whether the latest item only read."""
    human_gate_open: bool
    """Whether the run waits for approval."""
    latest_at: datetime | None
    latest_preview: str | None
    """What the verification of the latest item said."""
    latest_mode: str | None
    latest_route: str
    """Who used which tool in what scope; `--` when nothing is known."""
    latest_agent_id: str | None
    latest_tool_name: str | None
    latest_required_scope: str | None
    writes_incident_state: bool | None
    """Whether the latest item writes the state of the incident."""
    writes_auto_repair_result: bool | None
    """Whether it writes the result of an automatic repair."""
    mcp_observation_total: Count
    """Legacy records."""
    mcp_observation_success: Count
    mcp_observation_failed: Count
    latest_mcp_server: str | None
    errors: list[str] = Field(max_length=0)


class RunHead(Answer):
    """What the list and the detail both show of a run."""

    run_id: Uuid
    project_id: str
    agent_id: str
    state: str
    is_shadow: bool
    """Whether it only watches."""
    cost_usd: Money
    step_count: Count
    created_at: datetime
    timeout_at: datetime | None


class ListedRun(RunHead):
    """A run in the list."""

    remediation_summary: RemediationSummary


class RunPage(Page):
    """A page of runs, newest first."""

    runs: list[ListedRun]
    page: int | None
    """Number of this page; null with a cursor."""
    per_page: int


class RunCount(Answer):
    """How many runs one combination of the filters finds."""

    project_id: str
    state: str
    remediation_status: RemediationStatus
    total: Count


class RunCounts(View):
    """The combinations that any run has."""

    counts: list[RunCount]


class PendingAction(Answer):
    """What a human is asked to allow."""

    tool_name: str
    summary: str | None
    arguments_sha256: str | None
    requested_by: str | None
    """Who asks; may not decide."""


class Decision(DecisionMade):
    """A decision made on a run's present version."""

    status: CommandStatus


class Decided(Answer):
    """A decision that has been made."""

    run_id: Uuid
    decision: Verdict
    new_state: Literal["running", "cancelled"]
    """State the engine is asked to move the run to; its own event says when the run is there."""
    approval_token_jti: str | None
    """Id of the approval token; null on reject."""
    command_id: Uuid
    """Names the decision: `/v1/approvals/commands/{command_id}` says what becomes of it."""
    status: CommandStatus


class Approval(Answer):
    """A run that waits for a human."""

    run_id: Uuid
    project_id: str
    agent_id: str
    created_at: datetime
    timeout_at: datetime | None
    """Until when it can be decided on."""
    run_version: Count
    """Version a decision is about."""
    pending_action: PendingAction | None
    decision: Decision | None
    remediation_summary: RemediationSummary


class Approvals(View):
    """The runs that wait for a human, oldest first."""

    approvals: list[Approval]
    total: Count
    items: list[Approval]
    """The same as `approvals`."""


class Command(View):
    """What became of a decision."""

    command_id: Uuid
    run_id: Uuid
    decision: Verdict
    status: CommandStatus
    """`applied`: the run has left the version that was decided on."""
    published_at: datetime | None
    """When the decision was published; null while it waits in the outbox."""
    applied_at: datetime | None
