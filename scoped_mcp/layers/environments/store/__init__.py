"""Queries of environments: facts in `facts.py`, the decisions over them in `access.py`."""

from scoped_mcp.layers.environments.store.access import gather, place, place_of
from scoped_mcp.layers.environments.store.facts import (
    count,
    hold,
    imported,
    imports_of,
    in_state,
    inside,
    is_open,
    left,
    named,
    of_scope,
    overdue,
    renew,
    restart,
    size,
    state,
    template_named,
    until,
    until_used,
    use,
)
from scoped_mcp.layers.environments.store.seats import works_in
from scoped_mcp.layers.environments.store.walls import shown

__all__ = [
    "count",
    "gather",
    "hold",
    "imported",
    "imports_of",
    "in_state",
    "inside",
    "is_open",
    "left",
    "named",
    "of_scope",
    "overdue",
    "place",
    "place_of",
    "renew",
    "restart",
    "shown",
    "size",
    "state",
    "template_named",
    "until",
    "until_used",
    "use",
    "works_in",
]
