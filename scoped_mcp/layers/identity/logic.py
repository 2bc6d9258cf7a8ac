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

SECRET_BYTES = 32
SALT_BYTES = 16
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


def secret_of(entropy: bytes) -> str:
    """The secret part of a new token: 256 random bits in base 32."""
    return base64.b32encode(entropy).decode().rstrip("=").lower()


def token_of(credential: str, secret: str) -> str:
    """The token: shown once, never stored."""
    return f"smcp_{credential.removeprefix('crd_')}_{secret}"


def verifier_of(secret: str, salt: bytes) -> str:
    """What is stored of a secret. 256 random bits need no slow hash (NIST SP 800-63B §5.1.1.2)."""
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
