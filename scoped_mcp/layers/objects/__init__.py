"""Room 3. Objects are versioned and isolated.

A new object is its creator's alone. Every change is an immutable version with digest, author and
reason; a deleted one is a tombstone that only its owner sees.
"""

from scoped_mcp.layers.objects.logic import ABSENT, Conflict, Merged, difference, merge3
from scoped_mcp.layers.objects.model import (
    AcceptObject,
    CreateObject,
    DeleteObject,
    GetObject,
    ListObjects,
    Object,
    ObjectHistory,
    ObjectState,
    ObjectView,
    RestoreObject,
    TransferObject,
    UpdateObject,
)
from scoped_mcp.layers.objects.operations.one import again
from scoped_mcp.layers.objects.operations.views import absent, view
from scoped_mcp.layers.objects.store import named, offered
from scoped_mcp.layers.objects.tables import objects

__all__ = [
    "ABSENT",
    "AcceptObject",
    "Conflict",
    "CreateObject",
    "DeleteObject",
    "GetObject",
    "ListObjects",
    "Merged",
    "Object",
    "ObjectHistory",
    "ObjectState",
    "ObjectView",
    "RestoreObject",
    "TransferObject",
    "UpdateObject",
    "absent",
    "again",
    "difference",
    "merge3",
    "named",
    "objects",
    "offered",
    "view",
]
