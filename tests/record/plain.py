"""What is of one run alone, taken out of answers and of what commands print."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_NOW: Final = timedelta(minutes=10)
_NEW_IDS: Final = {"command_id", "approval_token_jti"}
_REPLACED: Final = {
    *("next_cursor", "timeline_next_cursor", "message", "worker_id", "events_per_second"),
}


class Plain:
    """Replaces times of now, new ids, cursors, and the wording of dead letters."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._ids: dict[str, str] = {}

    def json(self, text: str) -> Any:
        """JSON without what is of this run alone; fractions keep their digits."""
        return self._plain(json.loads(text, parse_float="number {}".format), "")

    def moments(self, text: str) -> str:
        """Text without times of now."""
        return _MOMENT.sub(lambda found: "<now>" if self._is_now(found[0]) else found[0], text)

    def _plain(self, value: Any, name: str) -> Any:
        match value:
            case dict():
                return {key: self._plain(each, key) for key, each in value.items()}
            case list():
                return [self._plain(each, "") for each in value]
            case str() if name in _NEW_IDS:
                return self._ids.setdefault(value, f"<new id {len(self._ids) + 1}>")
            case str() if name not in _REPLACED:
                return self.moments(value)
        return f"<{name}>" if name in _REPLACED and value is not None else value

    def _is_now(self, text: str) -> bool:
        return -_NOW < datetime.fromisoformat(text) - self._began < _NOW
