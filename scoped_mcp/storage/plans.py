"""Statements ready for a driver: compiled by SQLAlchemy, run on the driver's own cursor.

Nothing of SQLAlchemy's stands between a statement and its database but the words: the same SQL, the
same parameters, a third of the time. A test holds the two ways equal.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast
from weakref import WeakKeyDictionary

from sqlalchemy.util import LRUCache

from scoped_mcp.storage.walls import VERSIONS_OF, WALLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Dialect

NOTHING: Mapping[str, Any] = {}
SHAPES = 500
"""How many shapes of queries that are built anew for each call are kept."""


@dataclass
class Plan:
    """A statement ready for the driver: its SQL, its parameters in order, its rows' names.

    Attributes:
        returns: Whether an insert answers with the key that the table made.
        asks: The names of the caller's keys that walls in its way ask for.
    """

    sql: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    returns: bool = False
    asks: frozenset[str] = frozenset()
    row: Any = None

    @classmethod
    def of(cls, statement: Any, dialect: Dialect, keys: list[str] | None) -> Self:  # noqa: ANN401 - any statement
        """The plan of a statement.

        A list that is part of the statement is spelt out; for one that is not there is `among`.

        Raises:
            TypeError: a list in it differs from call to call.
        """
        compiled = statement.compile(dialect=dialect, column_keys=keys)
        binds = compiled.binds
        needed = {name for name, bind in binds.items() if bind.required}
        if any(binds[name].expanding for name in needed):
            message = "a list that differs from call to call is for `storage.among`"
            raise TypeError(message)
        spelt = compiled.construct_expanded_state(dict.fromkeys(needed))
        fixed = {name: v for name, v in spelt.parameters.items() if name not in needed}
        names = tuple(spelt.positiontup or ())
        return cls(spelt.statement, names, fixed, *_marks(compiled))

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of the statement."""
        fixed = self.fixed
        return [values[name] if name in values else fixed[name] for name in self.names]

    def named(self, cursor: Any, found: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - DB-API's
        """What a cursor found, with the names of the query's columns."""
        if self.row is None:
            make = cast("Any", namedtuple)  # noqa: PYI024 - its fields are the query's
            self.row = make("Row", [str(column[0]) for column in cursor.description], rename=True)
        return [self.row._make(row) for row in found]


def _marks(compiled: Any) -> tuple[bool, frozenset[str]]:  # noqa: ANN401 - any dialect's
    """What our own dialect adds: see `Plan`."""
    returns = bool(getattr(compiled, "effective_returning", None))
    return returns, getattr(compiled, "asks", frozenset())


class Ready(NamedTuple):
    """What a driver is handed."""

    plan: Plan
    sql: str
    parameters: list[Any]


class Plans:
    """What was compiled for one dialect, known to every connection of this process.

    A statement seen again — every statement that a module builds once — has a plan of its own. One
    that is built anew for every call — a list's, with its filters — is seen but once: it shares
    what was compiled with all of its shape.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._seen: WeakKeyDictionary[Any, dict[tuple[str, ...], Plan]] = WeakKeyDictionary()
        self._shapes: WeakKeyDictionary[Any, Plan] = WeakKeyDictionary()
        self._compiled: dict[object, Any] = {}

    def ready(self, statement: Any, values: Mapping[str, Any]) -> Ready:  # noqa: ANN401 - any statement
        """A statement with its parameters."""
        plans = self._seen.get(statement)
        if plans is None:
            self._seen[statement] = {}
            return self._at_first_sight(statement, values)
        names = tuple(values)
        plan = plans.get(names)
        if plan is None:
            keys = list(names) if getattr(statement, "is_insert", False) else None
            plan = plans[names] = Plan.of(statement, self._dialect, keys)
        return Ready(plan, plan.sql, plan.parameters(values))

    def _at_first_sight(self, statement: Any, values: Mapping[str, Any]) -> Ready:  # noqa: ANN401 - any statement
        """As SQLAlchemy's own connections do: compiled once for all statements of a shape.

        INVARIANT: statements that look past walls are no shape of those that meet them.
        """
        options = statement.get_execution_options()
        walls = (options.get(WALLS), options.get(VERSIONS_OF))
        cache = self._compiled.setdefault(walls, LRUCache(SHAPES))
        compiled, extracted, collected, _ = statement._compile_w_cache(  # noqa: SLF001 - see above
            self._dialect, compiled_cache=cache, column_keys=sorted(values)
        )
        known = compiled.construct_params(
            values, extracted_parameters=extracted, escape_names=False, _collected_params=collected
        )
        spelt = compiled._process_parameters_for_postcompile(known)  # noqa: SLF001 - see above
        plan = self._shapes.get(compiled)
        if plan is None:
            plan = self._shapes[compiled] = Plan(spelt.statement, (), NOTHING, *_marks(compiled))
        parameters = [spelt.parameters[name] for name in spelt.positiontup or ()]
        return Ready(plan, spelt.statement, parameters)
