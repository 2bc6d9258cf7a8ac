"""Asking: objects at versions, pinned with what they would change, checked, answered at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, DeniedError, InvalidError
from scoped_mcp.kernel.ids import PromotionId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import environments, objects, tenancy
from scoped_mcp.layers.environments import Environment
from scoped_mcp.layers.flow import logic, store
from scoped_mcp.layers.flow.logic import Place
from scoped_mcp.layers.flow.model import (
    ApplyPromotion,
    Channel,
    ChannelState,
    Check,
    Chosen,
    Dependency,
    Promotion,
    PromotionState,
    PromotionView,
    RequestPromotion,
    parted,
)
from scoped_mcp.layers.flow.operations.applying import targets
from scoped_mcp.layers.flow.operations.views import again, view
from scoped_mcp.layers.objects import Object, ObjectState
from scoped_mcp.layers.tenancy import Scope
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from scoped_mcp.kernel.ids import EnvironmentId
    from scoped_mcp.layers.flow.store import Asked, Landing
    from scoped_mcp.spine.tx import ReadTx, WriteTx
    from scoped_mcp.spine.work import Prepared


def _ahead(cmd: RequestPromotion, tx: ReadTx) -> Prepared:
    """What each object would become, where it is asked for now."""
    channel = tx.get(Channel, cmd.channel)
    chosen = {path: _plain(one) for path, one in cmd.resolutions.items()}
    return store.works(tx, _asked(tx, channel, _things(tx, channel, cmd.objects), chosen))


@handles(
    RequestPromotion,
    name="promotion.request",
    title="Ask for a promotion",
    effect=Effect.CREATE,
    needs={"channel": Access.READ},
    writes={Promotion: Access.NONE},
    pinned=True,
    prepare=_ahead,
    again=again,
)
def request(cmd: RequestPromotion, tx: WriteTx) -> PromotionView:
    """All of it or nothing, and exactly these versions (rulings 38, 40, 42 and 43).

    1. the channel is open, and its target's
    2. the caller may ask: contributor in the target, WRITE on each object
    3. what each would change is pinned, with what it reads while working
    4. what it comes to: stale, conflicted, failed, pending, or approved where nobody reviews
    5. what is pending stops its environment's clock; what is approved is applied
    """
    channel = tx.get(Channel, cmd.channel)
    scope = tx.get_known(Scope, channel.owner)
    require_usable(tx, channel, scope)  # 1
    if not store.requests(tx, channel, tx.caller.principal):  # 2
        message = "asking takes the role contributor or more in the target, and to be let by it"
        raise DeniedError(message, hint='channel_list shows those where you may "request"')
    things = _things(tx, channel, cmd.objects)
    home = _home(tx, things)
    chosen = {path: _plain(one) for path, one in cmd.resolutions.items()}
    landings = _landings(tx, _asked(tx, channel, things, chosen))  # 3
    _require_used(landings, chosen)
    dependencies = [_dependency(tx, named) for named in cmd.depends_on]
    one = _promotion(tx, channel, landings, dependencies).but(
        environment=home, resolutions=chosen, note=cmd.reason
    )
    store.tell(tx, one)
    tx.put(one, reason=cmd.reason, event="requested")  # 4
    if one.state is PromotionState.PENDING and home is not None:  # 5
        environments.hold(tx, tx.get_known(Environment, home), one.expires_at)
    if one.state is PromotionState.APPROVED:
        tx.run(ApplyPromotion(id=one.id), targets=targets(one))
    return view(tx, tx.get_known(Promotion, one.id))


def require_usable(tx: ReadTx, channel: Channel, scope: Scope) -> None:
    """Refuse a closed channel, and one into what takes nothing.

    Raises:
        ConflictError: it is closed, or its scope is frozen or archived.
    """
    if channel.state is not ChannelState.ACTIVE:
        message = f"the channel {quote(channel.name)} is closed"
        raise ConflictError(message, hint="channel_list shows those that are open")
    tenancy.require_open(tx, scope)


def _things(tx: ReadTx, channel: Channel, named: Sequence[str]) -> list[tuple[Object, int]]:
    """The objects that are asked for, each at a version that the caller may publish."""
    if len(named) > tx.limits.bulk:
        message = f"{len(named)} objects in one promotion, the limit is {tx.limits.bulk}"
        raise InvalidError(message, hint="ask for them in several promotions")
    found = [_thing(tx, channel, *parted(one)) for one in named]
    if len({thing.id for thing, _ in found}) < len(found):
        message = "an object is named twice"
        raise InvalidError(message, hint="name each object once, at one version")
    return found


def _thing(tx: ReadTx, channel: Channel, public_id: str, version: int | None) -> tuple[Object, int]:
    thing = tx.get(Object, public_id, Access.WRITE)
    if thing.state is ObjectState.DELETED:
        message = f"{quote(public_id)} is deleted"
        raise ConflictError(message, hint=f'object_restore(id="{public_id}") brings it back')
    asked = version or thing.version
    if not objects.sight(tx, thing).shows(asked) or asked > thing.version:
        message = f"there is no version {asked} of {quote(public_id)} that you can see"
        raise InvalidError(message, hint=f'object_history(id="{public_id}") lists them')
    if not any(logic.fits(channel.source, place) for place in places(tx, thing)):
        message = f"{quote(public_id)} is not where the channel {quote(channel.name)} leads from"
        raise InvalidError(message, hint=f'flow_routes(start="{public_id}") shows its ways out')
    if thing.owner == channel.owner and (
        not channel.target.startswith("stg_") or asked != thing.version
    ):
        message = f"{quote(public_id)} is in the target already"
        raise InvalidError(
            message, hint="name what is to be published there, at its newest version"
        )
    return thing, asked


def places(tx: ReadTx, thing: Object) -> list[Place]:
    """Everywhere an object is, as far as the caller sees: environment, scopes, stages."""
    if thing.home is not None:
        home = environments.of_scope(tx, thing.home)
        return [] if home is None else [Place(home.id, template=home.template)]
    scopes = [one for one in objects.view(tx, thing, full=False).scopes if tx.sees(one)]
    stages = [
        Place(one.stage, scope=one.owner)
        for one in store.placements_of(tx, thing.id)
        if one.stage is not None and tx.sees(one.stage)
    ]
    return [*(Place(scope) for scope in scopes), *stages]


def _home(tx: ReadTx, things: Sequence[tuple[Object, int]]) -> EnvironmentId | None:
    """The one environment that all of it comes from, if it comes from one."""
    homes = {thing.home for thing, _ in things}
    if len(homes) > 1:
        message = "these objects do not come from one environment"
        raise InvalidError(message, hint="ask for what is in one environment at a time")
    home = homes.pop()
    found = None if home is None else environments.of_scope(tx, home)
    return None if found is None else found.id


def _plain(choice: str | Chosen) -> JsonValue:
    return choice if isinstance(choice, str) else {"value": choice.value}


def _asked(
    tx: ReadTx,
    channel: Channel,
    things: Sequence[tuple[Object, int]],
    chosen: Mapping[str, JsonValue],
) -> list[Asked]:
    return [
        (store.item_of(tx, channel.owner, *each), logic.resolutions_of(chosen, each[0].id))
        for each in things
    ]


def _landings(tx: ReadTx, asked: Sequence[Asked]) -> list[Landing]:
    whole: list[Landing] = []
    for (item, _), found in zip(asked, store.land(tx, asked), strict=True):
        if found is None:
            message = f"the content of {quote(item.object)} at version {item.version} was erased"
            raise InvalidError(message, hint="ask for a newer version")
        whole.append(found)
    return whole


def _require_used(landings: Sequence[Landing], chosen: Mapping[str, JsonValue]) -> None:
    """Refuse resolutions of what is not in conflict: they were meant for something else."""
    used: set[str] = set()
    for landing in landings:
        public_id = landing.item.object
        mine = logic.resolutions_of(chosen, public_id).keys() - set(landing.landed.unused)
        used |= mine | {f"{public_id}{path}" for path in mine}
    unused = sorted(chosen.keys() - used)
    if unused:
        message = f"there is no conflict at {quote(unused[0])}"
        hint = "send resolutions for the paths that the conflicted promotion names"
        raise InvalidError(message, hint=hint)


def _dependency(tx: ReadTx, named: str) -> Dependency:
    public_id, version = parted(named)
    thing = tx.get(Object, public_id)
    asked = version or thing.version
    if not objects.sight(tx, thing).shows(asked) or asked > thing.version:
        message = f"there is no version {asked} of {quote(public_id)} that you can see"
        raise InvalidError(message, hint=f'object_history(id="{public_id}") lists them')
    return Dependency(object=public_id, version=asked)


def _promotion(
    tx: WriteTx, channel: Channel, landings: Sequence[Landing], depends_on: Sequence[Dependency]
) -> Promotion:
    """What the request comes to."""
    items = tuple(landing.item for landing in landings)
    needed = channel.approvals
    if store.agents_own(tx, channel.owner):
        needed = max(needed, 1)  # ruling 36, also where the scope changed hands
    picture = logic.picture(
        channel.id,
        channel.version,
        channel.owner,
        channel.target,
        items,
        [landing.landed.content for landing in landings],
    )
    one = Promotion(
        id=tx.new_id(PromotionId),
        channel=channel.id,
        channel_version=channel.version,
        scope=channel.owner,
        target=channel.target,
        requester=tx.caller.principal,
        session=tx.caller.session,
        state=PromotionState.PENDING,
        items=items,
        depends_on=tuple(depends_on),
        checks=checks(tx, channel, landings),
        needed=needed,
        picture=picture,
        confirmed=tx.origin.confirmed if channel.confirm else None,
        expires_at=tx.now + timedelta(seconds=tx.limits.promotion_seconds),
    )
    state = logic.state_asked(
        one.checks,
        needed,
        conflicted=any(landing.landed.conflicts for landing in landings),
        moved=store.moved(tx, one),
    )
    return one.but(state=state)


def checks(tx: ReadTx, channel: Channel, landings: Sequence[Landing]) -> tuple[Check, ...]:
    """Everything that the channel asks of what passes; each is recorded, passed or failed."""
    problems: dict[str, list[str]] = {"types": [], "size": [], "secrets": [], "names": []}
    whole, taken = 0, set[str]()
    for landing in landings:
        thing, data = landing.thing, landing.landed.content
        whole += len(data)
        if channel.allowed_types and thing.type not in channel.allowed_types:
            problems["types"].append(f"{quote(thing.id)} is of the type {quote(thing.type)}")
        if len(data) > tx.limits.object_bytes:
            problems["size"].append(f"{quote(thing.id)} would be {len(data)} bytes")
        secret = logic.secret_in(data)
        if secret is not None:
            problems["secrets"].append(f"{quote(thing.id)} holds what looks like {secret}")
        if landing.there is None and not landing.item.moves and thing.name is not None:
            if thing.name in taken or objects.named(tx, channel.owner, None, thing.name):
                problem = f"the target has an object named {quote(thing.name)}"
                problems["names"].append(problem)
            taken.add(thing.name)
    if channel.max_bytes is not None and whole > channel.max_bytes:
        problem = f"together {whole} bytes, the channel takes {channel.max_bytes}"
        problems["size"].append(problem)
    return tuple(logic.checked(name, found) for name, found in problems.items())
