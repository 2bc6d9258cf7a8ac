"""How a command reaches the house: as the principal of `SCOPED_MCP_TOKEN`, along the one path."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

import scoped_mcp
from scoped_mcp.app import Session
from scoped_mcp.config import Settings
from scoped_mcp.houses import Houses
from scoped_mcp.kernel.errors import (
    Code,
    InvalidError,
    NotFoundError,
    ScopedError,
    UnauthenticatedError,
)
from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.kernel.text import quote
from scoped_mcp.spine.caller import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scoped_mcp.kernel.ids import Id

T = TypeVar("T")
ORIGIN = Origin(face="cli", client=f"scoped-mcp {scoped_mcp.__version__}")
PAGE = 100
_FIELD = re.compile(r'field "(\w+)"')  # how pydantic-settings names what it could not read


def settings(db: str | None) -> Settings:
    """What the environment says, and the database that the command names.

    Raises:
        InvalidError: a variable of the environment cannot be read.
    """
    try:
        return Settings() if db is None else Settings(db=db)
    except SettingsError as error:
        message = "a SCOPED_MCP_ variable of the environment cannot be read"
        named = _FIELD.search(str(error))
        hint = f"SCOPED_MCP_{named[1].upper()} is JSON" if named else "those of more parts are JSON"
        raise InvalidError(message, hint=hint) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = "".join(f"SCOPED_MCP_{str(part).upper()}: " for part in first["loc"][:1])
        message = "a SCOPED_MCP_ variable of the environment is not right"
        why = name + first["msg"].removeprefix("Value error, ")
        raise InvalidError(message, hint=why) from None


def token_of(read: Settings) -> str:
    """The caller's credential.

    Raises:
        UnauthenticatedError: there is none.
    """
    if read.token:
        return read.token
    message = "SCOPED_MCP_TOKEN is not set"
    hint = "set it to a token that `scoped-mcp init` or `scoped-mcp token issue` printed"
    raise UnauthenticatedError(message, hint=hint)


def act(db: str | None, work: Callable[[Session], Awaitable[T]]) -> T:
    """Open the house and do something in it as the caller.

    Raises:
        ScopedError: it was refused.
    """
    return within(db, lambda _, session: work(session))


def within(db: str | None, work: Callable[[Houses, Session], Awaitable[T]]) -> T:
    """The same for what needs the houses themselves.

    Raises:
        ScopedError: it was refused.
    """
    read = settings(db)
    token = token_of(read)

    async def run() -> T:
        async with Houses.open(read) as houses:
            return await work(houses, Session(houses.spine, token, ORIGIN))

    return asyncio.run(run())


def call(db: str | None, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one operation as the caller; arguments that are None are left out.

    Raises:
        ScopedError: it was refused.
    """
    return act(db, lambda session: session.call(operation, given(arguments)))


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that somebody named."""
    return {name: value for name, value in arguments.items() if value is not None}


async def listed(
    session: Session, operation: str, filters: dict[str, Any], limit: int, cursor: str | None
) -> dict[str, Any]:
    """A list of up to `limit` items, over as many pages as that takes."""
    items: list[dict[str, Any]] = []
    while True:
        wanted = {**filters, "limit": min(PAGE, limit - len(items)), "cursor": cursor}
        found = await session.call(operation, given(wanted))
        items += found["items"]
        cursor = found.get("next_cursor")
        if cursor is None or len(items) >= limit:
            return given({"items": items, "next_cursor": cursor})


def page(
    db: str | None, operation: str, filters: dict[str, Any], limit: int, cursor: str | None
) -> dict[str, Any]:
    """`listed` for a list whose filters are given as they are.

    Raises:
        ScopedError: it was refused.
    """
    return act(db, lambda session: listed(session, operation, filters, limit, cursor))


async def principal_id(session: Session, name: str) -> str:
    """The id of a principal that was given by name or id.

    One's own name and those of one's delegates are known from `whoami`; others are looked up, which
    is for instance admins.

    Raises:
        NotFoundError: there is none of that name, or the caller may not look it up.
    """
    if is_id(name):
        return name
    me = await session.call("whoami")
    known: list[dict[str, Any]] = [me["principal"], *me.get("delegates", [])]
    for one in known:
        if one["name"] == name:
            return str(one["id"])
    hint = "`scoped-mcp principal list` shows the principals"
    found: list[dict[str, Any]] = []
    try:
        found = (await session.call("principal.list", {"name": name}))["items"]
    except ScopedError as error:
        if error.code not in {Code.DENIED, Code.NOT_FOUND}:
            raise
        hint = "give its id: looking names up is for instance admins"
    if found:
        return str(found[0]["id"])
    message = f"there is no principal named {quote(name)}"
    raise NotFoundError(message, hint=hint)


def is_id(text: str, kind: type[Id] = PrincipalId) -> bool:
    """Whether this is the id of a principal, or of another kind, and no name."""
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True
