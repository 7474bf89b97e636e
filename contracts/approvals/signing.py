"""The keys of the service that issues approval tokens: one that signs, all that are published."""

from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.approvals.approval import ALGORITHM, HEADER_TYPE, MAX_TOKEN_LENGTH, Approval
from contracts.approvals.errors import TokenTooLong
from contracts.approvals.jwks import jwk, thumbprint

_SIGNER: Final = jwt.PyJWS(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and the keys that are published beside it."""

    present: Ed25519PrivateKey = field(repr=False)
    others: tuple[Ed25519PublicKey, ...] = ()
    kid: str = field(init=False)
    """Thumbprint (RFC 7638) of the key that signs."""

    def __post_init__(self) -> None:
        """Make the thumbprint, once for all tokens."""
        object.__setattr__(self, "kid", thumbprint(self.present.public_key()))

    def jwks(self) -> dict[str, Any]:
        """Return the JWKS document of all keys, each once, the one that signs first."""
        keys = [jwk(key) for key in (self.present.public_key(), *self.others)]
        return {"keys": list({key["kid"]: key for key in keys}.values())}

    def sign(self, approval: Approval) -> str:
        """Return the token that proves the approval: a JWT in its compact form.

        Raises `TokenTooLong` when it would have more than 8,192 characters, as with a tool's name
        of many thousands.
        """
        token = _SIGNER.encode(
            approval.model_dump_json(exclude_unset=True).encode(),
            self.present,
            ALGORITHM,
            headers={"typ": HEADER_TYPE, "kid": self.kid},
        )
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenTooLong(
                f"the approval of run {approval.run_id} needs a token of {len(token)} characters;"
                f" it may have {MAX_TOKEN_LENGTH}: the names of tool and approver are too long"
            )
        return token
