"""Kept values as the API shows them."""

from datetime import UTC, datetime
from typing import Any


def rfc3339(instant: datetime) -> str:
    """UTC with `Z`; six digits of fraction where there are microseconds, none where not."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """The value with its timestamps as text; numbers with a fraction stay Decimal."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def pick(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """These fields of a row as the API shows them."""
    return {name: plain(row[name]) for name in names}


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """All fields of a row but these, as the API shows them."""
    return {name: plain(value) for name, value in row.items() if name not in names}
