"""What the steps of the path have in common."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import UnauthenticatedError
from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.spine.authorise import UNKNOWN, shown
from scoped_mcp.spine.caller import Caller
from scoped_mcp.spine.parse import named
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.tx import ReadTx

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scoped_mcp.kernel.errors import ScopedError
    from scoped_mcp.spine.context import Context, House, Record
    from scoped_mcp.spine.tx import WriteTx

_TOOL = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def the_house(house: House, key: int) -> Caller:
    """The caller that no credential can be."""
    return Caller(PrincipalId(house.principal), key, "service", "house", house=True)


def unauthenticated() -> UnauthenticatedError:
    """The one answer to every credential that does not work."""
    message = "the credential is missing, wrong, expired or revoked"
    return UnauthenticatedError(message, hint="ask whoever runs this server for a new token")


def tell_reach(refusal: ScopedError, caller: Caller | None) -> None:
    """Let a hint say which of the tools that it names do not exist for this credential."""
    beyond: list[str] = []
    for tool in dict.fromkeys(_TOOL.findall(refusal.hint) if caller is not None else ()):
        operation = named(tool)
        if operation is not None and caller is not None and not shown(operation, caller):
            held = caller.holds(operation.toolset)
            beyond.append(f"`{tool}`" if held else f"`{tool}` of the toolset `{operation.toolset}`")
    if beyond:
        refusal.hint += f" (with another credential: yours does not show {', '.join(beyond)})"


def note_use(tx: WriteTx) -> None:
    """Note what was used: not state, no version, no trace (ruling 18)."""
    for use in ports.uses:
        use(tx)


def forget(context: Context, record: Record, kept: int) -> None:
    """Undo in memory what the savepoint undid in the database."""
    del context.records[1:]
    del record.changes[kept:]
    del record.events[kept:]
    context.entities.clear()
    context.forget()
    if not kept:
        record.authority = False


def learn_key(context: Context, public_id: str | None) -> int:
    """Look a key up: `trace.write` takes the keys of an entry from those that the context knows."""
    if public_id is None:
        return 0
    tx = ReadTx(context, UNKNOWN, context.records[0])
    return tx.key(public_id) or 0


def tell_of_strangers(context: Context, count: int, source: str) -> None:
    """Make the record that of the house: so many failed to authenticate, from there (ruling 51)."""
    record, house = context.records[0], context.house
    context.caller = the_house(house, learn_key(context, house.principal))
    record.operation, record.arguments = "authenticate", b""
    record.asked = {"failures": count, "source": source[:64]}
    record.scope = house.root
    learn_key(context, house.root)


def told(context: Context, name: str) -> Iterable[int] | None:
    """What walls in the database are told of the caller: nothing before it is known."""
    keys = ports.keys.get(name)
    if keys is None or not context.caller.key:
        return None
    return keys(ReadTx(context, UNKNOWN, context.records[0]))
