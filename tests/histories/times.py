"""A few instants, each in many spellings, so that equal times are common and look different."""

from datetime import UTC, datetime, timedelta, timezone

BASE = datetime(2026, 5, 18, 6, tzinfo=UTC)
SECONDS = 6

# The fraction in microseconds, and texts that mean it: what is below the microsecond is cut off.
FRACTIONS = {
    0: ("", ".0", ".000000", ".0000009"),
    123456: (".123456", ".1234567", ".123456999999"),
    500000: (".5", ".500", ".5000001"),
}
OFFSETS = {0: ("Z", "z", "+00:00", "-00:00"), 480: ("+08:00",), -210: ("-03:30",), 825: ("+13:45",)}


def spellings(instant: datetime) -> tuple[str, ...]:
    """RFC 3339 texts of one instant, all with an offset."""
    return tuple(
        local.strftime("%Y-%m-%dT%H:%M:%S") + fraction + suffix
        for minutes, suffixes in OFFSETS.items()
        for local in [instant.astimezone(timezone(timedelta(minutes=minutes)))]
        for fraction in FRACTIONS[instant.microsecond]
        for suffix in suffixes
    )


def bare(instant: datetime) -> tuple[str, ...]:
    """Texts of the instant without an offset, which in `data` are UTC."""
    local = instant.strftime("%Y-%m-%dT%H:%M:%S")
    return tuple(local + fraction for fraction in FRACTIONS[instant.microsecond])


INSTANTS = tuple(
    BASE + timedelta(seconds=second, microseconds=fraction)
    for second in range(SECONDS)
    for fraction in FRACTIONS
)
WITH_OFFSET = tuple(spellings(instant) for instant in INSTANTS)
IN_DATA = tuple(spellings(instant) + bare(instant) * 2 for instant in INSTANTS)
FAR_AWAY = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z")
