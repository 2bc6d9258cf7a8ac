"""Following the trail: one entry when it is opened, one when it is closed (ruling 50).

Looks leave none, and are no hole in the trail:

1. a look authenticates and authorises like any read, at its own moment
2. it needs a follow that is open: a row beside the entry that opened it, whose session is its own
3. it shows what `audit_list` would show that caller with those filters, and nothing else
4. what is shown for the first time is counted, and the closing entry says how much that was
5. who looks no more, or may not, is closed by the sweeper; it was over at its second
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.errors import ConflictError, LimitedError
from scoped_mcp.layers.audit import store
from scoped_mcp.layers.audit.model import (
    EndedView,
    EndFollow,
    EntryView,
    FollowTrail,
    FollowView,
    ListEntries,
    LookTrail,
    LookView,
    SweepFollows,
    UnfollowTrail,
    UnfollowView,
)
from scoped_mcp.layers.audit.operations.entries import shown
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    FollowTrail,
    name="audit.follow",
    title="Follow the trail",
    effect=Effect.READ,
    needs={"about": Access.NONE, "principal": Access.NONE, "session": Access.NONE},
    stream=True,
)
def follow(cmd: FollowTrail, tx: ReadTx) -> FollowView:
    """The entry of this very operation is the follow."""
    if store.open_follows(tx) >= tx.limits.follows:
        message = f"this session follows {tx.limits.follows} times already"
        raise LimitedError(message, hint="end one with audit.unfollow, or look at one of those")
    asked = cmd.model_dump(mode="json", exclude={"latest"}, exclude_none=True)
    store.make(tx, canonical.encode(asked), cmd.latest)
    return FollowView(id=tx.entry_id, ends_after_seconds=tx.limits.follow_seconds)


@handles(
    LookTrail,
    name="audit.look",
    title="Look at what is new",
    effect=Effect.READ,
    needs={"follow": Access.READ},
    stream=True,
    quiet=True,
)
def look(cmd: LookTrail, tx: ReadTx) -> LookView:
    """Oldest first, behind what was shown last."""
    one = store.followed(tx, cmd.follow)
    if one is None or one.session != tx.caller.session_key or store.idle(tx, one):
        raise _over()
    last = None if cmd.cursor is None else tx.unseal([cmd.follow], cmd.cursor)
    found = store.after(tx, one, ListEntries.model_validate_json(one.asked), last, cmd.limit)
    page = found[: cmd.limit]
    return LookView(
        items=tuple(EntryView(**shown(tx, row)) for row in page),
        cursor=tx.seal([cmd.follow], page[-1].public_id) if page else cmd.cursor,
        more=len(found) > cmd.limit,
    )


@handles(
    UnfollowTrail,
    name="audit.unfollow",
    title="End a follow",
    effect=Effect.READ,
    needs={"follow": Access.READ},
    stream=True,
)
def unfollow(cmd: UnfollowTrail, tx: ReadTx) -> UnfollowView:
    """Ended once: its row goes, and this entry says how much it showed."""
    one = store.followed(tx, cmd.follow, held=True)
    if one is None or one.session != tx.caller.session_key:
        raise _over()
    store.end(tx, one)
    tx.record.asked["shown"] = one.shown
    return UnfollowView(shown=one.shown)


def _over() -> ConflictError:
    message = "this follow has ended, or is another session's"
    return ConflictError(message, hint="open one with audit.follow")


@handles(
    SweepFollows,
    name="audit.sweep",
    title="Close follows that are over",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepFollows, tx: WriteTx) -> EndedView:
    """They were over at their second; now it is written down. Who comes second finds none."""
    ended = store.over(tx)
    for one, because in ended:
        closing = EndFollow(follow=one.public_id, because=cast("Any", because))
        tx.run(closing, targets=[one.public_id])
    return EndedView(things=len(ended))


@handles(
    EndFollow,
    name="audit.end",
    title="Close a follow that is over",
    effect=Effect.REVOKE,
    needs={"follow": Access.NONE},
    tool=False,
    authority=Authority.SWEEPER,
)
def end(cmd: EndFollow, tx: WriteTx) -> EndedView:
    """In an entry of its own, for whoever followed."""
    one = store.followed(tx, cmd.follow, held=True)
    if one is None:
        return EndedView(things=0)
    tx.record.owner = tx.public_id(one.principal)
    tx.key(tx.record.owner)
    tx.record.asked["shown"] = one.shown
    store.end(tx, one)
    return EndedView(things=1)


ports.sweeps.append((store.over, SweepFollows))
