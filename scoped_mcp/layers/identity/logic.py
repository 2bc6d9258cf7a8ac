"""Pure decisions of identity: tokens, attenuation, who answers for whom."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING

from scoped_mcp.layers.identity.model import TOOLSETS

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET_BYTES = 26
SALT_BYTES = 16
TAG = 10
"""So many characters of a secret say of which organisation it is; the other 42 are chance."""
STANDING_ALONE = frozenset({"user", "team"})
"""Kinds that nobody sponsors."""
HIERARCHICAL = frozenset({"member_of", "supervises", "manages", "reports_to", "part_of"})
"""Labels along which nobody may lead to itself."""
_TOKEN = re.compile(r"smcp_([a-z2-7]{16})_([a-z2-7]{52})", re.ASCII)
NO_VERIFIER = f"{'0' * 32}:{'0' * 64}"
"""What a token is compared with where its credential does not exist: the same work."""


def split(token: str) -> tuple[str, str] | None:
    """Credential id and secret of a token, or None for what has not its shape."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else (f"crd_{match.group(1)}", match.group(2))


def secret_of(entropy: bytes, organisation: str) -> str:
    """The secret part of a new token: the organisation's tag, then 208 random bits in base 32."""
    return tag_of(organisation) + _base32(entropy)


def tag_of(organisation: str) -> str:
    """What leads an organisation's tokens to it. It says nothing to who does not know its id."""
    return _base32(hashlib.sha256(f"organisation {organisation}".encode()).digest())[:TAG]


def tag_in(token: str) -> str | None:
    """The tag of a token; older tokens have chance in its place, and are of who is at home."""
    found = split(token)
    return None if found is None else found[1][:TAG]


def _base32(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=").lower()


def token_of(credential: str, secret: str) -> str:
    """The token: shown once, never stored."""
    return f"smcp_{credential.removeprefix('crd_')}_{secret}"


def verifier_of(secret: str, salt: bytes) -> str:
    """What is stored of a secret. 208 random bits need no slow hash (NIST SP 800-63B §5.1.1.2)."""
    return f"{salt.hex()}:{hashlib.sha256(salt + secret.encode()).hexdigest()}"


def matches(secret: str, verifier: str) -> bool:
    """Whether a secret is the one; takes the same time either way."""
    salt, _, _ = verifier.partition(":")
    return hmac.compare_digest(verifier_of(secret, bytes.fromhex(salt)), verifier)


def external_name(issuer: str, subject: str) -> str:
    """One text for issuer and subject that no other pair gives."""
    return json.dumps([issuer, subject])


def holds(have: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether toolsets are within others; "all" holds every one."""
    mine = set(have)
    return "all" in mine or set(wanted) <= mine


def named(toolsets: Iterable[str]) -> tuple[str, ...]:
    """Toolsets as they are shown: "all" spelt out."""
    mine = set(toolsets)
    return tuple(sorted(TOOLSETS - {"all"} if "all" in mine else mine))


def counts_as_agent(kind: str, sponsor_kinds: Iterable[str]) -> bool:
    """Whether an agent stands between a principal and the first user above it (ruling 7)."""
    if kind == "agent":
        return True
    for above in sponsor_kinds:
        if above == "user":
            return False
        if above == "agent":
            return True
    return False
