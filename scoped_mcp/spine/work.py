"""Pure work over versions, which never change: prepared elsewhere, or small enough to do here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel.errors import InvalidError

if TYPE_CHECKING:
    from scoped_mcp.spine.context import Context

INLINE = 65_536
"""How many bytes one transaction works out itself: more goes to another process (ruling 17)."""

About = tuple[Hashable, ...]
Task = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Work:
    """A pure piece of work.

    Attributes:
        about: All that it depends on: things at versions, and whatever else. What was prepared is
            found by this: nothing that was prepared of other versions can be taken for it.
        function: A function of the kernel; what it is given and answers can be pickled.
        load: Reads what the function is given, contents as the bytes that are stored.
    """

    about: About
    function: Callable[..., Any]
    load: Callable[[], tuple[Any, ...]]


Prepared = Sequence[Work]
"""What `prepare` of an operation answers: the work that the operation will ask for."""


class UnpreparedError(Exception):
    """A transaction needs what nobody has prepared: it is undone, and done again with it."""

    def __init__(self, tasks: Mapping[About, Task]) -> None:
        super().__init__(f"{len(tasks)} pieces of work")
        self.tasks = tasks


def work_out(context: Context, works: Sequence[Work]) -> list[Any]:
    """What some pieces of work come to, in their order.

    Raises:
        UnpreparedError: it was not prepared, and is too much to do here.
        InvalidError: it is too much to do anywhere.
    """
    known, tasks, size = context.prepared, dict[About, Task](), 0
    for work in works:
        if work.about not in known and work.about not in tasks:
            given = work.load()
            tasks[work.about] = work.function, given
            size += sum(map(_size, given))
            if size > context.limits.prepare_bytes:
                message = (
                    "there is too much to merge or compare at once, the limit is"
                    f" {context.limits.prepare_bytes} bytes"
                )
                raise InvalidError(message, hint="ask for fewer or smaller objects at a time")
    if tasks and context.inline + size > INLINE:
        raise UnpreparedError(tasks)
    context.inline += size
    known.update({about: function(*given) for about, (function, given) in tasks.items()})
    return [known[work.about] for work in works]


def _size(given: object) -> int:
    if isinstance(given, tuple):
        return sum(map(_size, cast("tuple[object, ...]", given)))
    return len(given) if isinstance(given, bytes) else 0
