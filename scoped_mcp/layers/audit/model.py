"""Entries of the trail as their readers see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue

from scoped_mcp.kernel.ids import AnyId, EntryId, PrincipalId, SessionId
from scoped_mcp.spine.declare import Command, View

Limit = Field(default=20, ge=1, le=100)


class ChangeView(View):
    """One changed thing: which, from which version to which, and the digest of the new one."""

    id: str
    urn: str
    from_version: int | None = None
    to_version: int
    digest: str


class EntryView(View):
    """One entry. Ids stand in it only where the caller may see what they name."""

    id: str
    at: datetime
    principal: str | None = None
    session: str | None = None
    operation: str
    target: str | None = None
    scope: str | None = None
    outcome: Literal["done", "denied", "failed"]
    code: str | None = None
    rules: tuple[str, ...] = ()
    changes: tuple[ChangeView, ...] = ()
    parent: str | None = None
    face: str


class EntryPage(View):
    """A page of the trail."""

    items: tuple[EntryView, ...]
    next_cursor: str | None = None


class EntryDetail(EntryView):
    """One entry with what was asked (for its actor and sponsors) and its place (for auditors).

    `sponsors` says who answers for the actor, nearest first: for those readers. `under` is the
    declared authority under which a nested operation ran: `channel`, `environment`, `sweeper` or
    `rollback`; absent where it ran as its caller.
    """

    asked: dict[str, JsonValue] | None = None
    client: str | None = None
    trace: str | None = None
    sponsors: tuple[str, ...] | None = None
    under: str | None = None
    owner: str | None = None
    chain: int | None = None
    seq: int | None = None
    hash: str | None = None
    previous: str | None = None
    arguments: str | None = None


class Problem(View):
    """The first bad entry and what is wrong with it."""

    seq: int
    entry: str | None = None
    problem: Literal["edited", "missing", "inserted", "reordered", "truncated", "state"]
    detail: str


class VerifyView(View):
    """What verification found."""

    ok: bool
    entries: int
    versions: int
    head: str
    problem: Problem | None = None


class ListEntries(Command[EntryPage]):
    """Read the trail, newest first: what you and those you answer for did, what touched yours.

    Reading the trail is itself traced; such entries are shown only with an `operation` filter.
    """

    about: AnyId | None = None
    principal: PrincipalId | None = None
    session: SessionId | None = None
    operation: str | None = Field(default=None, max_length=64, pattern=r"^[a-z_.]+$")
    outcome: Literal["done", "denied", "failed"] | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: int = Limit
    cursor: str | None = Field(default=None, max_length=200)

    example: ClassVar[dict[str, Any]] = {"limit": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"outcome", "since", "until", "limit"})


class FollowView(View):
    """An open follow: by this id it is looked at and ended."""

    id: str
    ends_after_seconds: int


class LookView(View):
    """What is new, oldest first; `cursor` goes into the next look, at once where there is more."""

    items: tuple[EntryView, ...]
    cursor: str | None = None
    more: bool


class UnfollowView(View):
    """How many entries a follow has shown."""

    shown: int


class EndedView(View):
    """How many follows were closed."""

    things: int


class FollowTrail(Command[FollowView]):
    """Open a follow of the trail: the newest entries first, and then whatever comes.

    For programs that hold it open: look with `audit.look`, end it with `audit.unfollow`. It ends by
    itself when nobody looks for a while.
    """

    about: AnyId | None = None
    principal: PrincipalId | None = None
    session: SessionId | None = None
    operation: str | None = Field(default=None, max_length=64, pattern=r"^[a-z_.]+$")
    outcome: Literal["done", "denied", "failed"] | None = None
    since: AwareDatetime | None = None
    latest: int = Field(default=20, ge=0, le=1_000)

    example: ClassVar[dict[str, Any]] = {"latest": 5}
    traced: ClassVar[frozenset[str]] = frozenset({"outcome", "since", "latest"})


class LookTrail(Command[LookView]):
    """Look at what came since the last look of your session's open follow; leaves no entry."""

    follow: EntryId
    cursor: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=100)

    example: ClassVar[dict[str, Any]] = {"follow": "ent_aaaaaaaaaaaaaaaf"}


class UnfollowTrail(Command[UnfollowView]):
    """End a follow; its entry says how many entries were shown."""

    follow: EntryId

    example: ClassVar[dict[str, Any]] = {"follow": "ent_aaaaaaaaaaaaaaaf"}


class SweepFollows(Command[EndedView]):
    """Write down which follows are over."""

    example: ClassVar[dict[str, Any]] = {}


class EndFollow(Command[EndedView]):
    """Close a follow that nobody looks at any more, or may."""

    follow: EntryId
    because: Literal["idle", "revoked"]

    example: ClassVar[dict[str, Any]] = {"follow": "ent_aaaaaaaaaaaaaaaf", "because": "idle"}
    traced: ClassVar[frozenset[str]] = frozenset({"because"})


class GetEntry(Command[EntryDetail]):
    """Read one entry of the trail in full."""

    id: EntryId

    example: ClassVar[dict[str, Any]] = {"id": "ent_aaaaaaaaaaaaaaaa"}


class VerifyTrail(Command[VerifyView]):
    """Recompute the whole chain and every state from its bytes; name the first bad entry.

    For auditors and owners of the root scope. `from`/`to` positions bound the entries looked at.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    from_seq: int | None = Field(default=None, ge=1, validation_alias="from")
    to_seq: int | None = Field(default=None, ge=1, validation_alias="to")

    example: ClassVar[dict[str, Any]] = {}
    traced: ClassVar[frozenset[str]] = frozenset({"from_seq", "to_seq"})
