"""Room 3. Objects are versioned and isolated.

A new object is its creator's alone. Every change is an immutable version with digest, author and
reason; a deleted one is a tombstone that only its owner sees.
"""

from scoped_mcp.layers.objects.logic import ABSENT, Conflict, Merged, difference, merge3
from scoped_mcp.layers.objects.model import (
    AcceptObject,
    CreateObject,
    DeleteObject,
    Fork,
    GetObject,
    Inherited,
    JsonObject,
    ListObjects,
    NewObject,
    Object,
    ObjectHistory,
    ObjectState,
    ObjectType,
    ObjectView,
    Published,
    RestoreObject,
    TransferObject,
    UpdateObject,
)
from scoped_mcp.layers.objects.operations.one import again
from scoped_mcp.layers.objects.operations.views import absent, view
from scoped_mcp.layers.objects.store import (
    at_version,
    fork_of,
    named,
    offered,
    sight,
    sights,
    written,
)
from scoped_mcp.layers.objects.tables import objects

__all__ = [
    "ABSENT",
    "AcceptObject",
    "Conflict",
    "CreateObject",
    "DeleteObject",
    "Fork",
    "GetObject",
    "Inherited",
    "JsonObject",
    "ListObjects",
    "Merged",
    "NewObject",
    "Object",
    "ObjectHistory",
    "ObjectState",
    "ObjectType",
    "ObjectView",
    "Published",
    "RestoreObject",
    "TransferObject",
    "UpdateObject",
    "absent",
    "again",
    "at_version",
    "difference",
    "fork_of",
    "merge3",
    "named",
    "objects",
    "offered",
    "sight",
    "sights",
    "view",
    "written",
]
