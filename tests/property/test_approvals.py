"""Whatever is approved can be proven, and no token proves anything once a bit of it is changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.signing_keys import TokenTooLong
from contracts.tokens import Approval, ApprovalRefused, Expected, MemorySingleUse, Reason, verify
from tests.approvals import CLAIMS, KEYS, NOW, PUBLISHED, TOKEN, approval, forged, refusal, verified

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# Any text of Unicode: a half of a surrogate pair is none.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
approvals = st.builds(
    Approval,
    iss=ids,
    aud=ids,
    sub=ids,
    jti=ids,
    iat=st.integers(0, NOW),
    exp=st.integers(NOW + 86_400, 253_402_214_400),
    project_id=ids,
    run_id=st.uuids().map(str),
    run_version=st.integers(-(2**63), 2**63 - 1),
    decision=st.just("approve"),
    tool_name=st.none() | texts,
    arguments_sha256=st.none() | texts,
)
COMPARED = {
    "iss": Reason.WRONG_ISSUER,
    "aud": Reason.WRONG_AUDIENCE,
    "project_id": Reason.WRONG_PROJECT,
    "run_id": Reason.WRONG_RUN,
    "run_version": Reason.WRONG_VERSION,
    "tool_name": Reason.WRONG_TOOL,
    "arguments_sha256": Reason.WRONG_ARGUMENTS,
}


def proven(token: str, said: Approval) -> Approval:
    """Verify a token for the very call that it is for."""
    expected = Expected(
        issuer=said.iss,
        audience=said.aud,
        project_id=said.project_id,
        run_id=said.run_id,
        run_version=said.run_version,
        tool_name=said.tool_name,
        arguments_sha256=said.arguments_sha256,
    )
    return verify(token, expected, keys=PUBLISHED, seen=MemorySingleUse())


@given(approvals)
def test_whatever_is_approved_is_proven(said: Approval) -> None:
    assert proven(KEYS.sign(said), said) == said


@given(approvals, approvals, st.sampled_from(sorted(COMPARED)))
def test_a_token_does_not_prove_what_differs_in_one_thing(
    said: Approval, other: Approval, claim: str
) -> None:
    asked = said.model_copy(update={claim: getattr(other, claim)})
    if asked == said:
        assert proven(KEYS.sign(said), asked) == said
        return
    with pytest.raises(ApprovalRefused) as raised:
        proven(KEYS.sign(said), asked)
    assert raised.value.reason is COMPARED[claim]


def test_no_token_survives_the_change_of_a_bit() -> None:
    for position, char in enumerate(TOKEN):
        for bit in range(8):
            changed = chr(ord(char) ^ 1 << bit)
            refusal(TOKEN[:position] + changed + TOKEN[position + 1 :])


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ALPHABET) | st.characters())
def test_no_token_survives_the_change_of_a_character(position: int, char: str) -> None:
    changed = TOKEN[:position] + char + TOKEN[position + 1 :]
    if changed != TOKEN:
        refusal(changed)


@given(st.integers(0, len(TOKEN)), st.text(st.sampled_from(ALPHABET + "=."), min_size=1))
def test_no_token_survives_an_insertion(position: int, inserted: str) -> None:
    refusal(TOKEN[:position] + inserted + TOKEN[position:])


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, len(TOKEN)))
def test_no_token_survives_a_deletion(position: int, length: int) -> None:
    refusal(TOKEN[:position] + TOKEN[position + length :])


@given(st.text() | st.text(st.sampled_from(ALPHABET + "."), max_size=300))
def test_no_text_is_a_token(text: str) -> None:
    refusal(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), json_values, min_size=1))
def test_claims_of_any_shape_are_refused_or_read(changes: dict[str, object]) -> None:
    """Even the issuer's key makes nothing pass but an approval of this very call, nor anything
    but a refusal go wrong."""
    token = forged({**CLAIMS, **changes})
    try:
        found = verified(token)
    except ApprovalRefused:
        return
    compared = set(CLAIMS) - {"sub", "jti", "iat", "exp"}
    assert found.model_dump(include=compared) == approval().model_dump(include=compared)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8192))
def test_a_token_fits_into_its_event_or_is_not_made(tool_name: str) -> None:
    try:
        token = KEYS.sign(approval(tool_name=tool_name))
    except TokenTooLong:
        return
    assert len(token) <= 8192
