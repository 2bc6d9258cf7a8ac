"""Step 2: what of the house exists for a credential, and what the caller may do with each id.

1. the operation is shown to the credential: its toolset, reads alone where it is read-only
2. what the operation needs of the root scope
3. every id field: enough access, or `not_found` for what is invisible, `denied` for the rest
4. the rules
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import DeniedError
from scoped_mcp.kernel.ids import ScopeId
from scoped_mcp.spine.declare import Access, Command, Effect, Operation, View, id_fields
from scoped_mcp.spine.entity import kind_of
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.refusals import require

if TYPE_CHECKING:
    from scoped_mcp.spine.caller import Caller
    from scoped_mcp.spine.tx import ReadTx


UNKNOWN = Operation(
    name="unknown",
    command=Command[View],
    view=View,
    handler=lambda _command, _tx: View(),
    effect=Effect.READ,
    needs={},
    on="",
    scope="",
    writes={},
    toolset="",
    title="",
    pooled=False,
    tool=False,
    destructive=False,
    idempotent=True,
    again=None,
    instance=Access.NONE,
)
"""What is asked for under a name that nobody declared."""


def authorise(tx: ReadTx, operation: Operation, command: Command[Any]) -> None:
    """Note what was asked and about what, then refuse what the caller may not.

    Raises:
        NotFoundError: an id names nothing that the caller sees.
        DeniedError: it sees the thing and that is not enough.
    """
    record = tx.record
    record.asked = _asked(command)
    target = getattr(command, operation.on) if operation.on else None
    if target is not None and tx.key(target) is not None:
        record.target = target
        record.owner = owner_of(tx, target)
    record.scope = _scope(tx, operation, command) or home_of(tx, record.target)
    if not tx.caller.house:
        _require_instance(tx, operation)
        for field, needs in operation.needs.items():
            for public_id in _ids(getattr(command, field)):
                if needs and public_id not in record.targets:
                    require(tx.access_to(public_id), needs, public_id)
    record.rules = ports.permits(tx, operation, command)


def shown(operation: Operation, caller: Caller) -> bool:
    """Whether an operation exists for this credential."""
    if caller.house:
        return True
    writes = operation.effect is not Effect.READ
    if not operation.tool or (caller.read_only and writes):
        return False
    if caller.environment is not None and writes and not operation.pinned:
        return False
    return caller.holds(operation.toolset) or operation.name == "whoami"


def _require_instance(tx: ReadTx, operation: Operation) -> None:
    """What an operation needs of the root scope; that there is one is no secret."""
    if operation.instance and tx.access_to(tx.house.root) < operation.instance:
        level = f"{operation.instance.label} access to the root scope"
        message = f"`{operation.tool_name}` is for those with {level}"
        raise DeniedError(message, hint="ask an administrator of the organisation")


def _asked(command: Command[Any]) -> dict[str, Any]:
    """What of the arguments the trace may name: ids as given, and what is declared traced."""
    named = set(id_fields(type(command))) | command.traced
    given = command.model_dump(mode="json", include=named, exclude_none=True)
    return {k: v for k, v in given.items() if v != []}


def _ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in cast("list[object]", value))


def owner_of(tx: ReadTx, public_id: str) -> str | None:
    """Whose an id is: the owner of a thing, the principal of a credential or session."""
    found = kind_of(public_id)
    entity = None if found is None else tx.peek(found.kind, public_id)
    owner = getattr(entity, "owner", None) or getattr(entity, "principal", None)
    if owner is not None:
        tx.key(owner)
    return owner


def home_of(tx: ReadTx, public_id: str | None) -> str | None:
    """The scope in which a thing lives: its environment's, or the one that owns it."""
    found = None if public_id is None else kind_of(public_id)
    entity = None if found is None else tx.peek(found.kind, public_id or "")
    home = getattr(entity, "home", None)
    owner = getattr(entity, "owner", None)
    if home is None and isinstance(owner, ScopeId):
        home = owner
    if home is not None:
        tx.key(home)
    return home


def _scope(tx: ReadTx, operation: Operation, command: Command[Any]) -> str | None:
    scope = operation.scope
    named = tx.house.root if scope == "root" else getattr(command, scope) if scope else None
    return named if named is not None and tx.key(named) is not None else None
