"""What can be asked of environments."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from scoped_mcp.kernel.ids import (
    ChannelId,
    CredentialId,
    EnvironmentId,
    ObjectId,
    PrincipalId,
    ScopeId,
    SnapshotId,
    TemplateId,
)
from scoped_mcp.kernel.text import Name, Note
from scoped_mcp.layers.environments.model.entities import Guest, Seat, TemplateState
from scoped_mcp.layers.environments.model.views import (
    Counted,
    EnvironmentPage,
    EnvironmentView,
    SnapshotPage,
    SnapshotView,
    TemplatePage,
    TemplateView,
)
from scoped_mcp.layers.objects import NewObject
from scoped_mcp.spine.declare import Command

_ENV = "env_aaaaaaaaaaaaaaaa"
_PRN = "prn_aaaaaaaaaaaaaaag"
Limit = Field(default=20, ge=1, le=100)
Cursor = Field(default=None, max_length=200)
Seconds = Annotated[int, Field(ge=1)]
Things = Annotated[tuple[ObjectId, ...], Field(max_length=200)]


class SpawnEnvironment(Command[EnvironmentView]):
    """Start a throwaway environment; it becomes your current one, and you its owner.

    What you make inside is seen by its members alone, and is gone when it is discarded or stays
    unused for `ttl_seconds` (a day by default). Keep a result with promotion_request. `imports`
    are objects from outside to work on.
    """

    name: Name | None = None
    purpose: Note | None = None
    template: TemplateId | None = None
    ttl_seconds: Seconds | None = None
    imports: Things = ()

    example: ClassVar[dict[str, Any]] = {"purpose": "summarise the interviews"}
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds"})


class GetEnvironment(Command[EnvironmentView]):
    """Read an environment: state, expiry, members, imports, how many objects are inside."""

    id: EnvironmentId

    example: ClassVar[dict[str, Any]] = {"id": _ENV}


class ListEnvironments(Command[EnvironmentPage]):
    """List the environments you can see, newest first; `state` asks for those that are over."""

    state: Literal["active", "suspended", "completed", "expired", "discarded"] | None = None
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"state", "limit"})


class UseEnvironment(Command[EnvironmentView]):
    """Make an environment your current one: what you create lands there from now on."""

    id: EnvironmentId

    example: ClassVar[dict[str, Any]] = {"id": _ENV}


class ImportObjects(Command[EnvironmentView]):
    """Import objects you can read, each pinned to its version now; object_update then forks one.

    Importing again rebases: your fork is merged with what changed outside, or the conflict named.
    """

    id: EnvironmentId
    objects: Annotated[tuple[ObjectId, ...], Field(min_length=1, max_length=200)]

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "objects": ["obj_aaaaaaaaaaaaaaaa"]}


class Invite(Command[EnvironmentView]):
    """Let a principal into an environment of yours as viewer or editor, or out with `none`."""

    id: EnvironmentId
    principal: PrincipalId
    role: Literal[Guest, "none"]

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "principal": _PRN, "role": "viewer"}
    traced: ClassVar[frozenset[str]] = frozenset({"role"})


class FinishEnvironment(Command[EnvironmentView]):
    """Complete or suspend an environment of yours (nobody adds or edits), or make it active again.

    `active` also revives one that expired within the last seven days.
    """

    id: EnvironmentId
    state: Literal["active", "suspended", "completed"]

    example: ClassVar[dict[str, Any]] = {"id": "env_aaaaaaaaaaaaaaac", "state": "suspended"}
    traced: ClassVar[frozenset[str]] = frozenset({"state"})


class DiscardEnvironment(Command[EnvironmentView]):
    """Discard an environment of yours with all that is inside; what was promoted stays."""

    id: EnvironmentId
    reason: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": "env_aaaaaaaaaaaaaaac"}


class RenameEnvironment(Command[EnvironmentView]):
    """Rename an environment of yours, or say what it is for."""

    id: EnvironmentId
    name: Name | None = None
    purpose: Note | None = None

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "name": "interviews"}


class ExtendEnvironment(Command[EnvironmentView]):
    """Begin an environment's longest life anew, with another `ttl_seconds` if you say so."""

    id: EnvironmentId
    ttl_seconds: Seconds | None = None

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "ttl_seconds": 7200}
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds"})


class TakeSnapshot(Command[SnapshotView]):
    """Keep an environment as it is: its name, members, and objects at their versions."""

    id: EnvironmentId
    name: Name | None = None

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "name": "before the rewrite"}


class ListSnapshots(Command[SnapshotPage]):
    """List the snapshots of an environment, newest first."""

    id: EnvironmentId
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"id": _ENV}
    traced: ClassVar[frozenset[str]] = frozenset({"limit"})


class RestoreSnapshot(Command[EnvironmentView]):
    """Bring an environment of yours back to a snapshot, as new versions: all of it, or nothing."""

    snapshot: SnapshotId

    example: ClassVar[dict[str, Any]] = {"snapshot": "snp_aaaaaaaaaaaaaaaa"}


class RestoreObjects(Command[Counted]):
    """Within a restore: bring the objects of a snapshot back."""

    snapshot: SnapshotId

    example: ClassVar[dict[str, Any]] = {"snapshot": "snp_aaaaaaaaaaaaaaaa"}


class CreateTemplate(Command[TemplateView]):
    """Keep what environments shall begin with: objects, members, lifetime, useful channels.

    Yours alone, or with a `scope` that you administer usable by its members: environment_spawn
    takes its id.
    """

    name: Name
    scope: ScopeId | None = None
    purpose: Note | None = None
    ttl_seconds: Seconds | None = None
    objects: Annotated[tuple[NewObject, ...], Field(max_length=200)] = ()
    members: Annotated[tuple[Seat, ...], Field(max_length=100)] = ()
    channels: Annotated[tuple[ChannelId, ...], Field(max_length=20)] = ()

    example: ClassVar[dict[str, Any]] = {
        "name": "interviews",
        "objects": [{"type": "note", "data": {"title": "guide"}}],
    }
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds"})


class GetTemplate(Command[TemplateView]):
    """Read a template."""

    id: TemplateId

    example: ClassVar[dict[str, Any]] = {"id": "tpl_aaaaaaaaaaaaaaaa"}


class ListTemplates(Command[TemplatePage]):
    """List the templates that you can use, newest first."""

    scope: ScopeId | None = None
    state: TemplateState = TemplateState.ACTIVE
    limit: int = Limit
    cursor: str | None = Cursor

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"state", "limit"})


class UpdateTemplate(Command[TemplateView]):
    """Change what environments shall begin with from now on; those that are there stay as they are.

    What you leave out stays.
    """

    id: TemplateId
    name: Name | None = None
    purpose: Note | None = None
    ttl_seconds: Seconds | None = None
    objects: Annotated[tuple[NewObject, ...], Field(max_length=200)] | None = None
    members: Annotated[tuple[Seat, ...], Field(max_length=100)] | None = None
    channels: Annotated[tuple[ChannelId, ...], Field(max_length=20)] | None = None
    expected_version: int | None = Field(default=None, ge=1)

    example: ClassVar[dict[str, Any]] = {"id": "tpl_aaaaaaaaaaaaaaaa", "ttl_seconds": 7200}
    traced: ClassVar[frozenset[str]] = frozenset({"ttl_seconds", "expected_version"})


class ArchiveTemplate(Command[TemplateView]):
    """End a template: no environment begins with it any more."""

    id: TemplateId

    example: ClassVar[dict[str, Any]] = {"id": "tpl_aaaaaaaaaaaaaaac"}


class EnterEnvironment(Command[Counted]):
    """Within a spawn or a use: the session works there from now on."""

    id: EnvironmentId

    example: ClassVar[dict[str, Any]] = {"id": _ENV}


class CloseCredentials(Command[Counted]):
    """Within a discard: revoke what is pinned to the environment."""

    id: EnvironmentId
    credentials: tuple[CredentialId, ...]

    example: ClassVar[dict[str, Any]] = {"id": _ENV, "credentials": []}


class SweepEnvironment(Command[Counted]):
    """Within a sweep: discard one environment that is past its revival."""

    id: EnvironmentId

    example: ClassVar[dict[str, Any]] = {"id": _ENV}


class SweepEnvironments(Command[Counted]):
    """Discard what expired and can no longer be revived; only the house does."""

    example: ClassVar[dict[str, Any]] = {}


class SweepHeirs(Command[Counted]):
    """Write down whose are the environments and templates that ended delegates left.

    Only the house does.
    """

    example: ClassVar[dict[str, Any]] = {}


class InheritEnvironment(Command[Counted]):
    """Within a sweep: an environment of an ended delegate, with its scope, becomes its heir's."""

    id: EnvironmentId

    example: ClassVar[dict[str, Any]] = {"id": _ENV}


class InheritTemplate(Command[Counted]):
    """Within a sweep: a template of an ended delegate becomes its heir's."""

    id: TemplateId

    example: ClassVar[dict[str, Any]] = {"id": "tpl_aaaaaaaaaaaaaaaa"}
