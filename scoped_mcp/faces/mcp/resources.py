"""Reads that have an address: each resource is one operation, called with its caller's token.

    scoped://whoami                       whoami
    scoped://objects/{id}                 object.get
    scoped://objects/{id}/versions/{n}    object.get, with the version
    scoped://environments/{id}            environment.get
    scoped://scopes/{id}                  scope.get
    scoped://promotions/{id}              promotion.get
    scoped://audit/recent                 audit.list
    scoped://audit/entries/{id}           audit.get

The face matches addresses and nothing more: whether an id is one is the spine's to say.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastmcp.resources import Resource, ResourceContent, ResourceResult, ResourceTemplate
from pydantic import AnyUrl

from scoped_mcp.faces.mcp import errors, prompts
from scoped_mcp.kernel.errors import ScopedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_types import (
        CompletionArgument,
        CompletionContext,
        PromptReference,
        ResourceTemplateReference,
    )

    from scoped_mcp.faces.mcp.tools import Caller

MIME_TYPE = "application/json"
_PARTS = {"id": r"[^/?#]+", "n": r"[0-9]{1,15}"}  # more digits are no version of anything


def _arguments(parts: Mapping[str, str]) -> dict[str, Any]:
    """What an operation takes, from the parts of an address."""
    named: dict[str, Any] = {"id": parts["id"]} if "id" in parts else {}
    return named | ({"version": int(parts["n"])} if "n" in parts else {})


@dataclass(frozen=True)
class Address:
    """One kind of address and the operation behind it.

    Attributes:
        uri: The address, with `{id}` and `{n}` where it varies.
        operation: What is called to read it.
        ids: The list operation whose items' ids may complete `{id}`; "" for none.
    """

    uri: str
    operation: str
    name: str
    title: str
    ids: str = ""
    pattern: re.Pattern[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the pattern once."""
        pattern = re.sub(
            r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>{_PARTS[m[1]]})", re.escape(self.uri)
        )
        object.__setattr__(self, "pattern", re.compile(pattern))


ADDRESSES = (
    Address("scoped://whoami", "whoami", "whoami", "Who you are here"),
    Address("scoped://objects/{id}", "object.get", "object", "An object", "object.list"),
    Address(
        "scoped://objects/{id}/versions/{n}",
        "object.get",
        "object-version",
        "One version of an object",
        "object.list",
    ),
    Address(
        "scoped://environments/{id}",
        "environment.get",
        "environment",
        "An environment",
        "environment.list",
    ),
    Address("scoped://scopes/{id}", "scope.get", "scope", "A scope", "scope.list"),
    Address(
        "scoped://promotions/{id}",
        "promotion.get",
        "promotion",
        "A promotion, with its picture",
        "promotion.list",
    ),
    Address(
        "scoped://audit/recent", "audit.list", "audit-recent", "The newest entries you may see"
    ),
    Address(
        "scoped://audit/entries/{id}",
        "audit.get",
        "audit-entry",
        "An entry of the trail",
        "audit.list",
    ),
)

PREFIXES = {
    "object.list": "obj",
    "environment.list": "env",
    "scope.list": "scp",
    "channel.list": "chn",
    "promotion.list": "prm",
    "audit.list": "ent",
}
"""How the ids of each list begin: what cannot begin as typed is not looked up."""


def operation_of(uri: str) -> str:
    """The operation behind an address or a template, as a list shows it."""
    return next((address.operation for address in ADDRESSES if address.uri == uri), "")


def locate(uri: str) -> tuple[Address, dict[str, Any]] | None:
    """The address that this is one of, and what its operation takes; None where it is of none."""
    for address in ADDRESSES:
        found = address.pattern.fullmatch(uri)
        if found is not None:
            return address, _arguments(found.groupdict())
    return None


def _completing(
    reference: PromptReference | ResourceTemplateReference, argument: str
) -> tuple[frozenset[str], tuple[str, ...]]:
    """What a credential must show for an argument to be completed, and the lists of its ids."""
    name = getattr(reference, "name", None)
    if name is not None:
        return frozenset(), prompts.IDS.get((name, argument), ())
    uri = getattr(reference, "uri", None)
    address = next((a for a in ADDRESSES if a.uri == uri and a.ids), None)
    if address is None or argument != "id":
        return frozenset(), ()
    return frozenset({address.operation}), (address.ids,)


class Reader:
    """Reads addresses and completes their ids, as whoever made the current request."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def read(self, uri: str) -> ResourceResult:
        """What an address holds.

        Raises:
            MCPError: nothing is there for this caller: absent, invisible and malformed are one.
        """
        located = locate(uri)
        if located is None:
            raise errors.not_found(uri)
        return _contents(await self._view(*located, uri))

    async def complete(
        self,
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        _context: CompletionContext | None,
    ) -> list[str]:
        """Ids that the caller can see, newest first, that begin as typed: at most 100 a kind."""
        needed, lists = _completing(reference, argument.name)
        found: list[str] = []
        try:
            shown = await self._caller.shown() if lists else frozenset[str]()
            if not needed <= shown:
                return []  # an address outside the toolsets has nothing to complete (ruling 5)
            for operation in lists:
                prefix = f"{PREFIXES[operation]}_"
                if operation in shown and prefix[: len(argument.value)] == argument.value[:4]:
                    page = await self._caller.call(operation, {"limit": 100})
                    found += [str(item["id"]) for item in page["items"]]
        except ScopedError as error:
            raise errors.protocol_error(error) from error
        return [public_id for public_id in found if public_id.startswith(argument.value)]

    async def _view(self, address: Address, arguments: dict[str, Any], uri: str) -> dict[str, Any]:
        try:
            return await self._caller.call(address.operation, arguments)
        except ScopedError as error:
            raise errors.protocol_error(error, uri) from error


class _Addressed(Resource):
    """What a list shows of an address; reading goes by `Reader`."""


class _AddressedTemplate(ResourceTemplate):
    """What a list shows of a kind of address; reading goes by `Reader`."""


def fixed() -> list[Resource]:
    """The addresses that do not vary, in the order of the table."""
    return [
        _Addressed(uri=AnyUrl(a.uri), name=a.name, title=a.title, mime_type=MIME_TYPE)
        for a in ADDRESSES
        if not a.pattern.groups
    ]


def templates() -> list[ResourceTemplate]:
    """The kinds of address, in the order of the table."""
    return [
        _AddressedTemplate(
            uri_template=a.uri,
            name=a.name,
            title=a.title,
            mime_type=MIME_TYPE,
            parameters={"type": "object", "required": list(a.pattern.groupindex)},
        )
        for a in ADDRESSES
        if a.pattern.groups
    ]


def _contents(view: dict[str, Any]) -> ResourceResult:
    text = json.dumps(view, ensure_ascii=False, separators=(",", ":"))
    return ResourceResult(contents=[ResourceContent(text, mime_type=MIME_TYPE)])
