"""The README names every answer that a request for a decision may get."""

from datetime import UTC, datetime

import pytest

from api.decisions import refusals
from api.problems import NotFound, Problem
from tests.readme import README

MADE = {"command_id": "c", "decision": "reject", "approver_id": "bob", "decided_at": "then"}


@pytest.mark.parametrize(
    "problem",
    [
        NotFound("run"),
        refusals.NotWaiting("running"),
        refusals.AlreadyDecided(MADE),
        refusals.OtherVersion(8),
        refusals.TooLate(datetime(2026, 5, 18, tzinfo=UTC)),
        refusals.SelfApproval(),
        refusals.NotSignable(),
        refusals.KeyReused(),
        refusals.NoApprovalKey(),
    ],
    ids=lambda problem: problem.code,
)
def test_an_answer_is_in_the_readme(problem: Problem) -> None:
    assert f"| {problem.status} | `{problem.code}` | " in README.read_text("utf-8")
