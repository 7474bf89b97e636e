"""Projects and contract revisions."""

from datetime import datetime

from api.models.base import Answer, Count, Money, View


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


class RevisionPage(View):
    """A page of contract revisions, newest first."""

    contracts: list[Revision]
    total: Count
    """Exact number of revisions the filters find."""
    next_cursor: str | None
    """Cursor of the next page; null on the last one."""
