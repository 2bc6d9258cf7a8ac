"""Ids and URNs.

A public id is a prefix and 16 lower-case base-32 characters: 80 random bits, no time in them
(ruling 35). It is never trimmed or case-folded. A URN names the thing without a version
(ruling 60).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

ID_BYTES = 10
_BODY = re.compile(r"[a-z2-7]{16}", re.ASCII)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_SHIFTS = range(8 * ID_BYTES - 10, -1, -10)


class Id(str):
    """A public id. Each subclass is one kind of thing and has its own prefix."""

    __slots__ = ()
    prefix: ClassVar[str] = ""
    by_prefix: ClassVar[dict[str, type[Id]]] = {}

    def __init_subclass__(cls, prefix: str = "") -> None:
        """Register the prefix, which must be new."""
        super().__init_subclass__()
        if prefix in Id.by_prefix:
            msg = f"the id prefix {prefix!r} is taken by {Id.by_prefix[prefix].__name__}"
            raise TypeError(msg)
        cls.prefix = prefix
        if prefix:
            Id.by_prefix[prefix] = cls

    @classmethod
    def of(cls, entropy: bytes) -> Self:
        """Make an id from ten random bytes: their base 32 (RFC 4648 §6), in lower case."""
        number = int.from_bytes(entropy, "big")
        body = "".join([_PAIRS[number >> shift & 0x3FF] for shift in _SHIFTS])
        return cls(f"{cls.prefix}_{body}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id exactly as it was shown.

        Raises:
            ValueError: the text is not an id of this kind.
        """
        prefix, _, body = text.partition("_")
        if prefix != cls.prefix or _BODY.fullmatch(body) is None:
            msg = f"expected an id like {cls.prefix}_ and 16 characters of a-z2-7"
            raise ValueError(msg)
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type[Any], _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate like `parse`; serialise as the plain string."""
        return core_schema.no_info_after_validator_function(
            cls.parse, core_schema.str_schema(strict=True, max_length=64)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show a plain string: a pattern would cost tokens in every tool."""
        return {"type": "string"}


class AnyId(Id):
    """An id of any kind."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id of any registered kind.

        Raises:
            ValueError: no kind of thing has such an id.
        """
        prefix, _, body = text.partition("_")
        if prefix not in Id.by_prefix or _BODY.fullmatch(body) is None:
            msg = "expected an id: a prefix, an underscore and 16 characters of a-z2-7"
            raise ValueError(msg)
        return cls(text)


class OrganisationId(Id, prefix="org"):
    """One organisation is one database."""

    __slots__ = ()


class TenantId(Id, prefix="tnt"):
    """An organisation in the directory of the one that is home to a server."""

    __slots__ = ()


class KindId(Id, prefix="knd"):
    """A registered kind of thing."""

    __slots__ = ()


class OperationId(Id, prefix="opr"):
    """A registered operation."""

    __slots__ = ()


class PrincipalId(Id, prefix="prn"):
    """Anyone who acts."""

    __slots__ = ()


class CredentialId(Id, prefix="crd"):
    """What a token names; never the token itself."""

    __slots__ = ()


class SessionId(Id, prefix="ses"):
    """The record of a credential in use."""

    __slots__ = ()


class RelationshipId(Id, prefix="rel"):
    """A labelled edge between two principals."""

    __slots__ = ()


class ObjectId(Id, prefix="obj"):
    """A versioned JSON object."""

    __slots__ = ()


class ScopeId(Id, prefix="scp"):
    """A scope: who shares with whom."""

    __slots__ = ()


class EnvironmentId(Id, prefix="env"):
    """A throwaway environment."""

    __slots__ = ()


class TemplateId(Id, prefix="tpl"):
    """What an environment is made from."""

    __slots__ = ()


class SnapshotId(Id, prefix="snp"):
    """An environment as it was at one moment."""

    __slots__ = ()


class ImportId(Id, prefix="imp"):
    """A reference from an environment to one version of an object outside."""

    __slots__ = ()


class MembershipId(Id, prefix="mem"):
    """A principal's place in a scope."""

    __slots__ = ()


class ProjectionId(Id, prefix="prj"):
    """An object shown in a scope."""

    __slots__ = ()


class ChannelId(Id, prefix="chn"):
    """A way out of environments, scopes and stages, into a scope or stage."""

    __slots__ = ()


class PromotionId(Id, prefix="prm"):
    """Objects at versions on their way through a channel."""

    __slots__ = ()


class PipelineId(Id, prefix="ppl"):
    """Ordered stages of a scope."""

    __slots__ = ()


class StageId(Id, prefix="stg"):
    """One stage of a pipeline."""

    __slots__ = ()


class PlacementId(Id, prefix="plc"):
    """An object's place in a pipeline."""

    __slots__ = ()


class EntryId(Id, prefix="ent"):
    """One entry of the trail."""

    __slots__ = ()


def urn(kind: str, organisation: str, public_id: str) -> str:
    """Name a thing for ever: `scoped:<kind>:<organisation>:<id>`.

    Raises:
        ValueError: a part is empty or contains a colon.
    """
    parts = ("scoped", kind, organisation, public_id)
    if any(not part or ":" in part for part in parts):
        msg = "a part of a URN is empty or contains a colon"
        raise ValueError(msg)
    return ":".join(parts)


def parse_urn(text: str) -> tuple[str, str, str, int | None]:
    """Take a URN apart: kind, organisation, id, and the version behind `@` where there is one.

    Raises:
        ValueError: the text is not such a URN.
    """
    parts = text.split(":")
    if len(parts) != 4 or parts[0] != "scoped" or not all(parts):  # noqa: PLR2004 - four parts
        msg = "expected scoped:<kind>:<organisation>:<id>"
        raise ValueError(msg)
    name, at, version = parts[3].partition("@")
    if not name or (at and not version.isascii()) or (at and not version.isdigit()):
        msg = "expected a version number behind @"
        raise ValueError(msg)
    return parts[1], parts[2], name, int(version) if at else None
