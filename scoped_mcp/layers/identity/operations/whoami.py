"""Who calls."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scoped_mcp.layers.identity import logic, store
from scoped_mcp.layers.identity.model import (
    DelegateRef,
    Principal,
    Session,
    SessionRef,
    Waiting,
    WhoAmI,
    WhoAmIView,
)
from scoped_mcp.layers.identity.model.views import Recovered
from scoped_mcp.layers.identity.operations.principals import ref
from scoped_mcp.spine.authorise import shown
from scoped_mcp.spine.declare import Effect, catalogue, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.spine.way import Way


@handles(WhoAmI, name="whoami", title="Who am I", effect=Effect.READ)
def whoami(_cmd: WhoAmI, tx: ReadTx) -> WhoAmIView:
    """The caller, with what higher rooms add about it."""
    caller = tx.caller
    one = tx.get_known(Principal, caller.principal)
    session = tx.get_known(Session, caller.session or "")
    sections: dict[str, Any] = {}
    for section in ports.caller_sections:
        sections.update(section(tx))
    recovered = None
    if one.recovered_at is not None:
        by = one.recovered_by
        recovered = Recovered(at=one.recovered_at, by=by if tx.sees(by) else None)
    return WhoAmIView(
        principal=ref(tx, caller.principal),
        sponsor=ref(tx, one.sponsor) if one.sponsor is not None else None,
        session=SessionRef(id=session.id, client=session.client, expires_at=caller.expires_at),
        environment=sections.get("environment"),
        scopes=sections.get("scopes", ()),
        toolsets=logic.named(caller.toolsets),
        read_only=caller.read_only,
        delegates=tuple(
            DelegateRef(id=d.id, name=d.name, expires_at=d.expires_at)
            for d in store.live_delegates(tx, caller.principal)
            if d.expires_at is not None
        ),
        limits=asdict(tx.limits),
        waiting=Waiting(
            reviews=sections.get("reviews", 0), transfers=sections.get("transfers", ())
        ),
        recovered=recovered,
    )


async def catalogue_of(spine: Way, token: Proof) -> frozenset[str]:
    """The names of the operations that exist for a credential; leaves no trace, shows no data.

    Raises:
        UnauthenticatedError: the credential is missing, wrong, expired or revoked.
    """

    def names(tx: ReadTx) -> frozenset[str]:
        return frozenset(name for name, one in catalogue.items() if shown(one, tx.caller))

    return await spine.look(names, token)


async def verify(spine: Way, token: Proof) -> tuple[str, str, str]:
    """The ids of the organisation, principal and credential that a token proves, for transports.

    Raises:
        UnauthenticatedError: the credential is missing, wrong, expired or revoked.
    """

    def ids(tx: ReadTx) -> tuple[str, str, str]:
        return tx.house.organisation, str(tx.caller.principal), str(tx.caller.credential)

    return await spine.look(ids, token)
