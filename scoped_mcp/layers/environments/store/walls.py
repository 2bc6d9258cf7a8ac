"""What the database itself shows of objects, snapshots and templates: the filters, once more.

A credential that is pinned to an environment is shown what lives there and what is imported there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, exists, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.layers import tenancy
from scoped_mcp.layers.environments.model import Snapshot, Template, TemplateState
from scoped_mcp.layers.environments.tables import environments, imports, snapshots, templates
from scoped_mcp.layers.objects import Object, objects
from scoped_mcp.storage.walls import anything, told, wall

if TYPE_CHECKING:
    from sqlalchemy import Table

_free = anything("free")


def _here(*imported: ColumnElement[bool]) -> ColumnElement[bool]:
    """What lives where the credential is pinned, if it is; what is imported there."""
    there = and_(told(objects.c.id, "imports"), *imported)
    return or_(_free, told(objects.c.home, "homes"), there)


def _version(versions: Table) -> ColumnElement[bool]:
    imported = exists(
        select(imports.c.id)
        .where(imports.c.object == objects.c.id)
        .where(imports.c.pinned == versions.c.version)
        .where(imports.c.active == 1)
        .where(told(imports.c.environment, "pinned"))
        .correlate(objects, versions)
    )
    return and_(or_(*tenancy.ways(tenancy.Told(), versions)), _here(imported))


def shown() -> ColumnElement[bool]:
    """Those that the caller sees: its own always, others while they are open to it."""
    here = or_(_free, told(environments.c.id, "pinned"))
    return and_(or_(told(environments.c.owner, "mine"), told(environments.c.scope, "homes")), here)


wall(
    objects,
    and_(or_(*tenancy.ways(tenancy.Told())), _here()),
    kind=Object.KIND,
    version=_version,
)
wall(
    snapshots,
    exists(select(environments.c.id).where(environments.c.id == snapshots.c.environment, shown())),
    kind=Snapshot.KIND,
)
wall(
    templates,
    and_(
        _free,
        or_(
            told(templates.c.owner, "mine"),
            told(templates.c.scope, "administers"),
            and_(templates.c.state == TemplateState.ACTIVE.value, told(templates.c.scope, "sees")),
        ),
    ),
    kind=Template.KIND,
)
