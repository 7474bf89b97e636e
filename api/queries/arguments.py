"""The arguments of a statement whose text depends on which filters are set."""


class Arguments(list[object]):
    """Values in the order of their placeholders."""

    def bind(self, value: object, kind: str) -> str:
        """Take a value in; return its placeholder, cast to a PostgreSQL type."""
        self.append(value)
        return f"${len(self)}::{kind}"


def every(conditions: list[str]) -> str:
    """Return the condition that all of these hold; true when there are none."""
    return " AND ".join(conditions) or "true"
