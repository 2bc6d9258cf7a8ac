"""A promotion as its caller may see it (rulings 34 and 44)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from scoped_mcp.kernel.documents import ABSENT
from scoped_mcp.kernel.ids import urn
from scoped_mcp.layers import identity
from scoped_mcp.layers.flow import store
from scoped_mcp.layers.flow.model import (
    AskerView,
    Channel,
    Check,
    CheckView,
    ConflictView,
    Item,
    ItemView,
    OriginView,
    Promotion,
    PromotionState,
    PromotionView,
    ReviewView,
    WritersView,
)
from scoped_mcp.layers.flow.operations.channels import end
from scoped_mcp.layers.objects import Object, written

if TYPE_CHECKING:
    from scoped_mcp.kernel.documents import Conflict
    from scoped_mcp.layers.flow.store import Landing
    from scoped_mcp.spine.declare import Earlier
    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.spine.work import Prepared

    class AboutPromotion(Protocol):
        """A command that names one promotion."""

        @property
        def id(self) -> str:
            """Which."""
            ...


def view(tx: ReadTx, one: Promotion, *, full: bool = True) -> PromotionView:
    """One promotion; its contents only where it is read by itself.

    What is behind it is for who sees that, and for its reviewers while it is pending.
    """
    state = store.state(tx, one)
    reading = state is PromotionState.PENDING and _reviews(tx, one)
    behind = reading or all(tx.sees(item.object) for item in one.items)
    asker = tx.get_known(identity.Principal, one.requester)
    landings = _landings(tx, one, behind=behind) if full else {}
    return PromotionView(
        id=one.id,
        urn=urn(one.KIND, tx.house.organisation, one.id),
        state=state,
        picture=one.picture,
        channel=one.channel if tx.sees(one.channel) else None,
        audience=end(tx, one.target),
        environment=one.environment if tx.sees(one.environment) else None,
        requester=one.requester,
        asker=_asker(tx, one, asker, behind=behind),
        objects=tuple(
            _item(tx, one, number, landings.get(number), reads=behind or tx.sees(item.object))
            for number, item in enumerate(one.items)
        ),
        depends_on=_dependencies(tx, one) or None,
        checks=tuple(_check(check, behind=behind) for check in one.checks),
        reviews=tuple(ReviewView(**r.model_dump(exclude={"picture", "via"})) for r in one.reviews),
        needed=one.needed,
        confirmed=one.confirmed,
        reason=one.note,
        version=one.version,
        created_at=cast("Any", one.created_at),
        expires_at=one.expires_at,
        untrusted=True if one.requester != tx.caller.principal else None,
    )


def contents(cmd: AboutPromotion, tx: ReadTx) -> Prepared:
    """What the objects of a promotion come to: for operations that publish or show it."""
    return store.works(tx, store.pinned(tx.get(Promotion, cmd.id)))


def again(tx: ReadTx, _cmd: object, earlier: Earlier) -> PromotionView:
    """The answer to a repetition: the promotion as it is now."""
    return view(tx, tx.get(Promotion, earlier.target))


def _check(one: Check, *, behind: bool) -> CheckView:
    """What a check found; its details name what is behind the promotion."""
    return CheckView(name=one.name, outcome=one.outcome, detail=one.detail if behind else None)


def _asker(tx: ReadTx, one: Promotion, asker: identity.Principal, *, behind: bool) -> AskerView:
    known = behind and one.session is not None
    session = tx.get_known(identity.Session, one.session or "") if known else None
    return AskerView(
        name=asker.name,
        kind=asker.kind,
        sponsors=tuple(each.id for each in identity.sponsors(tx, asker) if tx.sees(each.id)),
        session=one.session if tx.sees(one.session) else None,
        client=None if session is None else session.client,
    )


def _dependencies(tx: ReadTx, one: Promotion) -> tuple[str, ...]:
    return tuple(f"{d.object}@{d.version}" for d in one.depends_on if tx.sees(d.object))


def _reviews(tx: ReadTx, one: Promotion) -> bool:
    channel = tx.get_known(Channel, one.channel)
    return store.reviews(tx, channel, tx.caller.principal)


def _landings(tx: ReadTx, one: Promotion, *, behind: bool) -> dict[int, Landing | None]:
    """What its objects come to, of those whose contents the caller may see."""
    shown = [
        number
        for number, item in enumerate(one.items)
        if behind or tx.sees(item.object) or _landed(tx, one, number)
    ]
    asked = store.pinned(one)
    return dict(zip(shown, store.land(tx, [asked[number] for number in shown]), strict=True))


def _landed(tx: ReadTx, one: Promotion, number: int) -> bool:
    """Whether the caller sees what an object was published as."""
    return (
        bool(one.landed)
        and one.state is PromotionState.APPLIED
        and tx.sees(one.landed[number].object)
    )


def _item(
    tx: ReadTx, one: Promotion, number: int, landing: Landing | None, *, reads: bool
) -> ItemView:
    """One object: what stands behind it for who reads it, what it became for who sees that."""
    item = one.items[number]
    landed = one.landed[number] if one.landed else None
    published = item.target if landed is None else landed.object
    plain = ItemView(
        object=item.object if reads else None,
        version=item.version,
        published=published if published is not None and tx.sees(published) else None,
        becomes=_becomes(tx, item),
    )
    if landing is None:
        return plain
    about = {
        "type": landing.thing.type,
        "name": landing.thing.name,
        "size": len(landing.landed.content),
        "diff": landing.landed.difference,
        "conflicts": _conflicts(tx, landing) or None,
        "lineage": _lineage(tx, landing.thing) or None,
        "authors": tuple(store.authors(tx, landing.thing, item.base)),
    }
    return plain.model_copy(update=about)


def _becomes(tx: ReadTx, item: Item) -> Any:  # noqa: ANN401 - one of four words
    """What an object becomes in its scope, told without its content."""
    if item.moves:
        return "stage"
    if item.target is None:
        return "new"
    fork = tx.get_known(Object, item.object).forked_from
    return "merge" if fork is not None and fork.object == item.target else "update"


def _conflicts(tx: ReadTx, landing: Landing) -> tuple[ConflictView, ...]:
    there = landing.there
    ours = written(tx, landing.thing).author
    by = WritersView(ours=ours, theirs=None if there is None else there.author)
    return tuple(_conflict(one, by) for one in landing.landed.conflicts)


def _conflict(one: Conflict, by: WritersView) -> ConflictView:
    sides = {"base": one.base, "ours": one.ours, "theirs": one.theirs}
    there = {name: value for name, value in sides.items() if value is not ABSENT}
    return ConflictView(path=one.path, by=by, **cast("Any", there))


def _lineage(tx: ReadTx, thing: Object) -> tuple[OriginView, ...]:
    return tuple(
        OriginView(object=public_id, version=version) if tx.sees(public_id) else OriginView()
        for public_id, version in store.lineage(tx, thing)
    )
