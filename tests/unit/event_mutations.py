"""Good events with something changed: most are wrong then, some are right in another way."""

import json
import re
from copy import deepcopy
from typing import Any, Final

from hypothesis import strategies as st

from contracts.topics import TOPICS
from tests.unit.event_samples import RUN, as_bytes, least, most

SUFFIXES = [topic.suffix for topic in TOPICS]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good event with some of its bytes replaced, taken out or doubled."""
    suffix = draw(st.sampled_from(SUFFIXES))
    value = bytearray(as_bytes(draw(st.sampled_from([least, most]))(suffix)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(start + 12, len(value))))
        piece = st.sampled_from([b"", b"null", b"{}", b"[", b'"', b"\\u0000", b"NaN", b"1e999"])
        value[start:end] = draw(piece | st.binary(max_size=4) | st.just(value[start:end] * 2))
    return suffix, bytes(value)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def altered(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good event with attributes and fields replaced by anything that JSON can say."""
    suffix = draw(st.sampled_from(SUFFIXES))
    event = most(suffix)
    for _ in range(draw(st.integers(1, 3))):
        part = event["data"] if draw(st.booleans()) and isinstance(event["data"], dict) else event
        if part:
            part[draw(st.sampled_from(sorted(part)))] = draw(ANY_JSON)
    return suffix, json.dumps(event, ensure_ascii=draw(st.booleans())).encode(
        errors="surrogatepass"
    )


EDGES: Final[list[Any]] = [
    *(text * times for text in ("x", "偵") for times in (32, 33, 128, 129, 200, 201, 8192, 8193)),
    *("", " ", "\0", "a\n", "😀", "running", "Running", "running\n", "_" * 32, "a" * 33, "approve"),
    *("5", "-5", "+5", "1e3", "1E+2", ".5", "5.", "1_0", " 5", "NaN", "Infinity", "٣", "0.10"),
    *("sNaN", "-Infinity", "0x1", "1e101", "1e-101", "+.5", "1" * 100, "1" * 101, "0." + "1" * 101),
    *(0, -0.0, 1.0, 1.5, 0.1, 5, -5, True, False, None, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30),
    *(0.30000000000000004, 123456789012345, 1234567890123456, 1e16, 1e-7, 1e308, -(2**63) - 1),
    *(10**99, 10**100, 10**199, 10**200),
    *("2026-05-18T06:01:48Z", "2026-05-18t06:01:48z", "2026-05-18 06:01:48Z"),
    *("2026-05-18T06:01:48", "2026-05-18T06:01:48.1234567Z", "2026-05-18T06:01:48.9999999Z"),
    *("2026-05-18T06:01:48.Z", "2026-05-18T06:01:48,5Z", "2026-05-18T06:01Z", "2026-05-18"),
    *("2026-05-18T06:01:48+08:00", "2026-05-18T06:01:48-00:00", "2026-05-18T06:01:48+0000"),
    *("2026-05-18T06:01:48+00", "2026-05-18T06:01:48+24:00", "2026-05-18T24:00:00Z"),
    *("2026-05-18T06:01:60Z", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+10:00"),
    *("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-01:00"),
    *("2026-W01-1T06:00:00Z", "20260518T060148Z", "2026-05-18T06:01:48Z\n", "1716012345"),
    *("٢026-05-18T06:01:48Z", "2024-02-29T23:59:59+23:59", "2026-12-31T23:59:59.9999995Z"),
    *(RUN.upper(), RUN.replace("-", ""), f"{{{RUN}}}", f"{RUN}\n", f"{RUN}0", RUN[:-1]),
    *(f"urn:uuid:{RUN}", f"g{RUN[1:]}", RUN.replace("6", "６"), "cancelled", "{}"),
    *({}, [], {"tool_name": "t"}, {"tool_name": "t", "summary": 5}, {"a": {"b": [1, 1.0, 1e300]}}),
    *({"a": [{"b": -1e400}]}, {"tool_name": 5}),
]
"""Values about which two readers might disagree."""
LITERALS: Final = [
    *(
        "3.14",
        "0.10",
        "1E+2",
        "1.2345678901234567890e-3",
        "12345678901234567890.5",
        "1e400",
        "-1e999",
    ),
    *(
        "1e999999999999999999999",
        "9" * 5000,
        "NaN",
        "01",
        "1.",
        "tru",
        r'"\ud83d\ude00"',
        r'"\ud800"',
    ),
    *(r'"\q"', '"a\nb"', "1,"),
]
"""The like as JSON, or nearly."""
# each time anew: what is put into an object is not to be in the next one
EDGE = st.sampled_from(EDGES).map(deepcopy)


@st.composite
def respelt(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good event with values at the edge of what is right, keys doubled, and numbers as such."""
    suffix = draw(st.sampled_from(SUFFIXES))
    event = draw(st.sampled_from([least, most]))(suffix)
    names = sorted({*most(suffix)["data"]})
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 3)):
            event["data"][draw(st.sampled_from(names))] = draw(EDGE)
        else:
            event[draw(st.sampled_from(sorted(most(suffix))))] = draw(EDGE)
        if not isinstance(event["data"], dict):
            break
    value = json.dumps(event, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        # amounts as numbers, with digits that a float has not
        value = re.sub(r'"(-?[0-9]+(?:\.[0-9]+)?)"', r"\1", value)
    return suffix, value.encode()
