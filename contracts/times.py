"""Moments as the contracts read and write them: aware, in UTC."""

from datetime import UTC, datetime


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; one without an offset is taken to be UTC already.

    Raises ValueError when the moment, moved to UTC, falls outside the years 1 to 9999.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it falls outside the years 1 to 9999") from None


def rfc3339(moment: datetime) -> str:
    """RFC 3339 text in UTC with `Z`: `2026-05-18T06:01:48Z`.

    Six fractional digits follow the seconds when the microseconds are not zero, none otherwise.
    Raises ValueError for a moment without an offset: which moment it is would be a guess.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no offset")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
