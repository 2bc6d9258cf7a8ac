"""How an operation is declared: a command, what it needs, and the handler that does it.

A face generates its tools from these declarations; a test generates its strangers from them. What
is not declared does not exist.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, field_validator

from scoped_mcp.kernel.ids import Id

if TYPE_CHECKING:
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.work import Prepared


class Access(IntEnum):
    """What a caller may do with one thing; each level includes those below it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3
    OWNER = 4

    @property
    def label(self) -> str:
        """The word that views show."""
        return self.name.lower()


class Effect(StrEnum):
    """What kind of change an operation makes (ruling 20)."""

    READ = "read"
    CREATE = "create"
    CHANGE = "change"
    GRANT = "grant"
    REVOKE = "revoke"
    RULE = "rule"
    ADMIN = "admin"


class Authority(StrEnum):
    """In whose right a nested operation acts where that is not its caller's (ruling 12)."""

    CHANNEL = "channel"
    ENVIRONMENT = "environment"
    SWEEPER = "sweeper"
    ROLLBACK = "rollback"


CURSOR = "next_cursor"


class View(BaseModel):
    """What an operation answers: only what its caller may see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fleeting: ClassVar[frozenset[str]] = frozenset()
    """Fields that use alone moves (ruling 18): who follows what it shows is not told of them."""

    def as_json(self) -> dict[str, Any]:
        """As clients get it: null is absent, but where a page says that it is the last."""
        found = self.model_dump(mode="json", exclude_none=True)
        if CURSOR in type(self).model_fields:
            found.setdefault(CURSOR, None)
        return found


V_co = TypeVar("V_co", bound=View, covariant=True)


class Command(BaseModel, Generic[V_co]):
    """What a caller asks for; its docstring is what agents read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    example: ClassVar[Mapping[str, Any]]
    traced: ClassVar[frozenset[str]] = frozenset()
    """Fields beside ids that the trace may name: enums, numbers, times (ruling 47)."""

    @field_validator("*")
    @classmethod
    def _in_utc(cls, value: object) -> object:
        """Times of a command are in UTC; what lies outside of the calendar there is refused."""
        if not isinstance(value, datetime):
            return value
        try:
            return value.astimezone(UTC)
        except OverflowError:
            message = "expected a time between the years 1 and 9999"
            raise ValueError(message) from None


@dataclass(frozen=True)
class Earlier:
    """The call that a repetition repeats: the number of its entry, and what it was about.

    Attributes:
        target: A public id; empty where it was about several things.
    """

    entry: int
    target: str


C = TypeVar("C", bound=Command[Any])
Handler = Callable[[Any, Any], View]
Prepare = Callable[[Any, Any], "Prepared"]
Again = Callable[[Any, Any, Earlier], View]


@dataclass(frozen=True)
class Operation:
    """A declared operation.

    Attributes:
        name: `object.create`; the tool is `object_create`.
        command: The class of what is asked.
        view: The class of what is answered.
        handler: The plain function that does it, on the database's thread.
        effect: What kind of change it makes.
        needs: For each id field of the command, the access that the caller must have.
        on: The field that names the target, or "" where the target is what was made.
        scope: The field that names the scope whose auditors see it, "root", or "".
        writes: For each kind that it may put, the access needed on what is already there.
        toolset: Which toolset shows it.
        title: What a person reads on a button.
        pooled: Whether it is a long read and runs on a snapshot.
        trail: Whether it reads the trail, so that any entry may change what it answers.
        tool: Whether faces show it.
        instance: The access that the caller must have to the root scope.
        authority: In whose right it acts, only within another, on the targets that one names.
        pinned: Whether a credential pinned to an environment may write by it.
        stream: Whether it serves a stream that a face holds open: called by name, and no tool.
        quiet: Whether it is a look of such a stream: done, it leaves no entry (ruling 50).
        prepare: What slow work it will ask for (ruling 17), asked on a snapshot before step 1.
        beside: Whether it may run while others do, where the engine can: what it decides depends on
            nothing that they write. It is asked of no read; whatever moves rights runs alone.
        again: How a repetition reads the result anew (ruling 19), from the transaction, the command
            and the earlier call; None where the result showed a token.
    """

    name: str
    command: type[Command[Any]]
    view: type[View]
    handler: Handler
    effect: Effect
    needs: Mapping[str, Access]
    on: str
    scope: str
    writes: Mapping[type[Entity], Access]
    toolset: str
    title: str
    pooled: bool
    tool: bool
    destructive: bool
    idempotent: bool
    again: Again | None
    instance: Access
    authority: Authority | None = None
    pinned: bool = False
    prepare: Prepare | None = None
    stream: bool = False
    quiet: bool = False
    beside: bool = False
    trail: bool = False
    optional: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def tool_name(self) -> str:
        """The name of the tool that is this operation."""
        return self.name.replace(".", "_")


_declared: dict[str, Operation] = {}
_by_command: dict[type[Command[Any]], Operation] = {}
catalogue: Mapping[str, Operation] = MappingProxyType(_declared)
"""Every operation of the house by name, in the order of declaration."""


def handles(  # noqa: PLR0913 - a declaration names everything once
    command: type[Command[Any]],
    *,
    name: str,
    title: str,
    effect: Effect,
    needs: Mapping[str, Access] | None = None,
    on: str = "",
    scope: str = "",
    writes: Mapping[type[Entity], Access] | None = None,
    toolset: str = "core",
    pooled: bool = False,
    tool: bool = True,
    destructive: bool = False,
    idempotent: bool = False,
    again: Again | None = None,
    instance: Access = Access.NONE,
    authority: Authority | None = None,
    pinned: bool = False,
    prepare: Prepare | None = None,
    stream: bool = False,
    quiet: bool = False,
    beside: bool = False,
    trail: bool = False,
) -> Callable[[Callable[[C, Any], View]], Callable[[C, Any], View]]:
    """Declare the decorated function as the handler of `command`.

    Raises:
        TypeError: the declaration is not whole: no docstring, no valid example, an id field without
            a needed access (ruling 11), a traced or target field that does not exist, a name taken.
    """

    def declare(handler: Callable[[C, Any], View]) -> Callable[[C, Any], View]:
        operation = Operation(
            name=name,
            command=command,
            view=_view_of(command),
            handler=cast("Handler", handler),
            effect=effect,
            needs=MappingProxyType(dict(needs or {})),
            on=on,
            scope=scope,
            writes=MappingProxyType(dict(writes or {})),
            toolset=toolset,
            title=title,
            pooled=pooled,
            tool=tool,
            destructive=destructive,
            idempotent=idempotent or effect is Effect.READ,
            again=again,
            instance=instance,
            authority=authority,
            pinned=pinned,
            prepare=prepare,
            stream=stream,
            quiet=quiet,
            beside=beside or effect is Effect.READ,
            trail=trail,
            optional=frozenset(
                name
                for argument, field_name in arguments_of(command).items()
                if not command.model_fields[field_name].is_required()
                for name in (argument, field_name)
            ),
        )
        _require_whole(operation)
        _declared[name] = _by_command[command] = operation
        return handler

    return declare


def operation_of(command: type[Command[Any]]) -> Operation:
    """The operation that handles a command.

    Raises:
        TypeError: nobody declared one.
    """
    if command in _by_command:
        return _by_command[command]
    message = f"{command.__name__} has no handler"
    raise TypeError(message)


@cache
def arguments_of(command: type[BaseModel]) -> dict[str, str]:
    """The arguments of a command as callers write them, each with the field that it fills.

    They differ where Python has another use for the word, such as `from`.
    """
    return {str(one.validation_alias or name): name for name, one in command.model_fields.items()}


@cache
def id_fields(command: type[BaseModel]) -> dict[str, type[Id]]:
    """The fields of a command that hold ids, and which kind of id."""
    found: dict[str, type[Id]] = {}
    for name, info in command.model_fields.items():
        kinds = list(_ids_in(info.annotation))
        if kinds:
            found[name] = kinds[0]
    return found


def _ids_in(annotation: object) -> list[type[Id]]:
    if inspect.isclass(annotation) and issubclass(annotation, Id):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _ids_in(part)]


def _view_of(command: type[Command[Any]]) -> type[View]:
    for base in command.__mro__:
        generic = getattr(base, "__pydantic_generic_metadata__", {})
        if generic.get("origin") is Command:
            return cast("type[View]", generic["args"][0])
    message = f"{command.__name__} does not say which view it answers"
    raise TypeError(message)


def _require_whole(operation: Operation) -> None:
    command, name = operation.command, operation.name
    ids = id_fields(command)
    problems = [
        (name in _declared, "its name is taken"),
        (not (command.__doc__ or "").strip(), "its command has no docstring"),
        (not hasattr(command, "example"), "its command has no example"),
        (set(operation.needs) != set(ids), f"needs must name exactly {sorted(ids)}"),
        (operation.on not in {"", *ids}, "on must be an id field"),
        (operation.scope not in {"", "root", *ids}, "scope must be root or an id field"),
        (not command.traced <= set(command.model_fields), "traced names an unknown field"),
        (operation.effect is Effect.READ and bool(operation.writes), "a read writes nothing"),
        (operation.quiet and operation.effect is not Effect.READ, "only reads are quiet"),
        (operation.authority is not None and operation.tool, "only nested ones act in authority"),
    ]
    for wrong, problem in problems:
        if wrong:
            message = f"operation {name}: {problem}"
            raise TypeError(message)
    command.model_validate(dict(command.example), strict=False)
