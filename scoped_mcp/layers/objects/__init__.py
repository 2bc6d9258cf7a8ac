"""Room 3. Objects are versioned and isolated.

A new object is its creator's alone. Every change is an immutable version with digest, author and
reason; a deleted one is a tombstone that only its owner sees.
"""

from scoped_mcp.layers.objects.model import (
    AcceptObject,
    CreateObject,
    DeleteObject,
    Fork,
    GetObject,
    Heading,
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
from scoped_mcp.layers.objects.operations.views import view
from scoped_mcp.layers.objects.store import (
    at_version,
    fork_of,
    heading_at,
    named,
    offered,
    place_at,
    sight,
    sights,
    written,
)
from scoped_mcp.layers.objects.tables import objects

__all__ = [
    "AcceptObject",
    "CreateObject",
    "DeleteObject",
    "Fork",
    "GetObject",
    "Heading",
    "Inherited",
    "JsonObject",
    "ListObjects",
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
    "again",
    "at_version",
    "fork_of",
    "heading_at",
    "named",
    "objects",
    "offered",
    "place_at",
    "sight",
    "sights",
    "view",
    "written",
]
