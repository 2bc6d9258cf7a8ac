"""What the path answers to who may not, and to who comes too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel import text
from scoped_mcp.kernel.errors import ConflictError, DeniedError, NotFoundError
from scoped_mcp.spine.declare import Access, catalogue
from scoped_mcp.spine.entity import kind_of

if TYPE_CHECKING:
    from scoped_mcp.spine.entity import Entity


def absent(public_id: str) -> NotFoundError:
    """The one answer for what is absent and what is invisible; its kind stands in the id itself."""
    message = f"there is no {text.quote(public_id)} that you can see"
    known = kind_of(public_id)
    listing = None if known is None else catalogue.get(f"{known.kind.KIND}.list")
    if listing is not None and listing.instance:  # few could call it
        listing = None
    shows = "list" if listing is None else f"{listing.tool_name}() shows"
    return NotFoundError(message, hint=f"{shows} what you can see, or ask its owner to share it")


def require(have: Access, needs: Access, public_id: str) -> None:
    """Refuse what is invisible as absent, and what is visible but too little as denied.

    Raises:
        NotFoundError: the caller may not even see it.
        DeniedError: the caller sees it and needs more.
    """
    if have < Access.READ:
        raise absent(public_id)
    if have < needs:
        thing = text.quote(public_id)
        message = f"this needs {needs.label} access to {thing}, you have {have.label}"
        raise DeniedError(message, hint="ask its owner, or whoever administers the scope")


def lost_race(current: Entity, expected: int, name_author: bool) -> ConflictError:  # noqa: FBT001 - internal
    """The conflict that says who changed it, when, and to which version."""
    who = f" by {current.author}" if name_author else ""
    when = f" at {current.updated_at:%Y-%m-%dT%H:%M:%SZ}" if current.updated_at else ""
    message = (
        f"{current.KIND} {text.quote(current.id)} is at version {current.version}, changed{who}"
        f"{when}; you expected version {expected}"
    )
    hint = (
        f'read it again with {current.KIND}_get(id="{current.id}"), apply your change to that, and '
        f"send expected_version={current.version}"
    )
    return ConflictError(message, hint=hint, retry=True)
