"""The run list."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.models.base import Answer, Count, Money, Uuid, View
from api.parameters import RemediationStatus


class RemediationSummary(Answer):
    """What has been tried for the incidents of a run."""

    schema_version: Literal["awooop_run_remediation_summary_v1"]
    """Version of this object's shape."""
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
    """When the latest item was recorded."""
    latest_preview: str | None
    """What its verification said."""
    latest_mode: str | None
    """How it was made."""
    latest_route: str
    """Who used which tool in what scope; `--` when nothing is known."""
    latest_agent_id: str | None
    """Who made the latest attempt."""
    latest_tool_name: str | None
    """Tool it used."""
    latest_required_scope: str | None
    """Scope it needed."""
    writes_incident_state: bool | None
    """Whether the latest item writes the state of the incident."""
    writes_auto_repair_result: bool | None
    """Whether it writes the result of an automatic repair."""
    mcp_observation_total: Count
    """Legacy records."""
    mcp_observation_success: Count
    """Those that succeeded."""
    mcp_observation_failed: Count
    """Those that failed."""
    latest_mcp_server: str | None
    """Server of the latest legacy record."""
    errors: list[str] = Field(max_length=0)
    """Always empty."""


class ListedRun(Answer):
    """A run in the list."""

    run_id: Uuid
    """The run."""
    project_id: str
    """Its project."""
    agent_id: str
    """Agent that carries it out."""
    state: str
    """State it is in."""
    is_shadow: bool
    """Whether it only watches."""
    cost_usd: Money
    """Cost so far."""
    step_count: Count
    """Steps so far."""
    created_at: datetime
    """When it was created."""
    timeout_at: datetime | None
    """When it will be given up."""
    remediation_summary: RemediationSummary
    """What has been tried for its incidents."""


class RunPage(View):
    """A page of runs, newest first."""

    runs: list[ListedRun]
    """The runs of this page."""
    total: Count
    """Exact number of runs the filters find."""
    page: int | None
    """Number of this page; null with a cursor."""
    per_page: int
    """Runs on a full page."""
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""


class RunCount(Answer):
    """How many runs one combination of the filters finds."""

    project_id: str
    """A project."""
    state: str
    """A state."""
    remediation_status: RemediationStatus
    """A remediation status."""
    total: Count
    """Exact number of runs."""


class RunCounts(View):
    """How many runs each filter finds."""

    counts: list[RunCount]
    """The combinations that any run has."""
