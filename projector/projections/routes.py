"""The route of what bears on an incident: who used which tool, in what scope."""

from typing import Final

NO_ROUTE: Final = "--"


def of_item(agent_id: str | None, tool_name: str | None, scope: str | None) -> str:
    """Return the route of a remediation item, empty parts left out."""
    return "/".join(part for part in (agent_id, tool_name, scope) if part) or NO_ROUTE


def of_record(agent_role: str | None, server: str | None, tool_name: str | None) -> str:
    """Return the route of a legacy MCP record, which only ever read; empty parts left out."""
    tool = ".".join(part for part in (server, tool_name) if part)
    return "/".join(part for part in (agent_role, tool, "read") if part)
