"""The reference model: a plain, slow reading of what the views must say, and their judge.

It shares no code with the product and keeps no state: `load` reads a set of records, and each
view is a function of what was loaded, worked out anew on every call.

    platform = load(records)
    run_list(platform, project_ids={"p0"}, states={"running"})
    run_detail(platform, run_id, lang="en")

Answers are plain lists and dictionaries with the field names of the API, times as RFC 3339 text,
numbers with a fraction as Decimal: compare them with `json.loads(body, parse_float=Decimal)`.
Texts compare by code point throughout.
"""

from tests.reference.detail import run_detail
from tests.reference.lists import approvals, channel_events, contracts, counts, projects, run_list
from tests.reference.platform import Platform, Record, load

__all__ = ["Platform", "Record", "counts", "load", "run_detail", "run_list"]
__all__ += ["approvals", "channel_events", "contracts", "projects"]
