"""Approval tokens: a human's decision on one call, as consumers can verify and nobody can forge it.

The API signs an `Approval` with its `SigningKeys` and publishes their JWKS. The service that makes
the call verifies the token with `verify` (or `verify_async`), the keys from a `JwksUrl`, and a
`SingleUse` store of its own. What can go wrong is drawn in `contracts.approvals.errors`.
"""

from contracts.approvals.approval import Approval
from contracts.approvals.errors import ApprovalRefused, KeysUnavailable, TokenTooLong
from contracts.approvals.jwks import KeySet, KeySource
from contracts.approvals.jwks_url import JwksUrl
from contracts.approvals.key_file import load_signing_keys
from contracts.approvals.signing import SigningKeys
from contracts.approvals.single_use import AsyncSingleUse, MemorySingleUse, SingleUse
from contracts.approvals.verification import LEEWAY, Expected, verify, verify_async

__all__ = [
    "LEEWAY",
    "Approval",
    "ApprovalRefused",
    "AsyncSingleUse",
    "Expected",
    "JwksUrl",
    "KeySet",
    "KeySource",
    "KeysUnavailable",
    "MemorySingleUse",
    "SigningKeys",
    "SingleUse",
    "TokenTooLong",
    "load_signing_keys",
    "verify",
    "verify_async",
]
