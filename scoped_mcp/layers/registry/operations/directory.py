"""The directory: which other organisations the server of this one serves, and where they are.

It is nobody's to see: the house reads and writes it, for the operator and for the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError, InvalidError, NotFoundError
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers.registry import logic, store
from scoped_mcp.layers.registry.model import AddTenant, SetTenant, Tenant, TenantView
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx


@handles(
    AddTenant,
    name="tenant.add",
    title="Enter an organisation",
    effect=Effect.ADMIN,
    needs={"id": Access.NONE, "organisation": Access.NONE},
    on="id",
    scope="root",
    writes={Tenant: Access.NONE},
    tool=False,
)
def add(cmd: AddTenant, tx: WriteTx) -> TenantView:
    """Names, tags and issuers lead to one organisation each."""
    require_free(tx, name=cmd.name)
    _require_plain(cmd.url)
    _require_one_way(tx, cmd.issuer, None)
    if store.by_tag(tx, cmd.tag) is not None or cmd.organisation == tx.house.organisation:
        message = "the organisation is in the directory, or its home"
        raise ConflictError(message, hint="`scoped-mcp org list` shows it")
    one = Tenant(
        id=cmd.id,
        name=cmd.name,
        organisation=cmd.organisation,
        tag=cmd.tag,
        url=cmd.url,
        issuer=cmd.issuer,
    )
    return _view(tx.put(one, event="added"))


@handles(
    SetTenant,
    name="tenant.set",
    title="Change the directory",
    effect=Effect.ADMIN,
    needs={"id": Access.NONE},
    on="id",
    scope="root",
    writes={Tenant: Access.NONE},
    tool=False,
)
def set_(cmd: SetTenant, tx: WriteTx) -> TenantView:
    """All of it at once, by who has seen the newest version."""
    one = tx.peek(Tenant, cmd.id)
    if one is None:
        message = f"there is no {quote(cmd.id)} in the directory"
        raise NotFoundError(message, hint="`scoped-mcp org list` shows the organisations")
    _require_plain(cmd.url)
    _require_plain(cmd.target or "")
    _require_one_way(tx, cmd.issuer, one)
    changed = one.but(url=cmd.url, state=cmd.state, target=cmd.target, issuer=cmd.issuer)
    return _view(tx.put(changed, expected_version=cmd.expected_version))


def require_free(tx: ReadTx, *, name: str) -> None:
    """Refuse a name that leads to an organisation.

    Raises:
        ConflictError: it does.
    """
    if any(one.name == name for one in store.tenants(tx)):
        message = f"there is an organisation {quote(name)}"
        raise ConflictError(message, hint="choose another name")


def _require_plain(url: str) -> None:
    """Refuse what the directory must not hold: whoever reads the database would read it.

    Raises:
        InvalidError: the URL has a password in it.
    """
    if logic.has_password(url):
        message = "a URL of the directory holds no password"
        raise InvalidError(message, hint="leave it to PGPASSFILE, or to the URL of SCOPED_MCP_DB")


def _require_one_way(tx: ReadTx, issuer: str | None, own: Tenant | None) -> None:
    """Refuse an issuer that leads to another organisation.

    Raises:
        ConflictError: it does; nothing could tell whose identities it then names.
    """
    for other in store.tenants(tx):
        if issuer is not None and other.issuer == issuer and (own is None or own.id != other.id):
            message = f"that issuer leads to {quote(other.name)}"
            raise ConflictError(
                message, hint="take it from there first, with `scoped-mcp org issuer`"
            )


def _view(one: Tenant) -> TenantView:
    return TenantView(
        id=one.id,
        name=one.name,
        organisation=one.organisation,
        url=one.url,
        state=one.state,
        target=one.target,
        issuer=one.issuer,
    )
