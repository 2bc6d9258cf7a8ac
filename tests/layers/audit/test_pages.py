"""Room 6: the pages of who answers for many, and audits many scopes, hold what single reads do."""

from __future__ import annotations

from typing import Any

from scoped_mcp import ScopedError, Session
from tests.conftest import Home

MANY = 23  # more than are asked for one by one


async def _pages(reader: Session, limit: int, **asked: Any) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        more = {"limit": limit, **asked} | ({"cursor": cursor} if cursor else {})
        page = await reader.call("audit.list", more)
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def _sees(reader: Session, entry: str) -> bool:
    try:
        await reader.call("audit.get", {"id": entry})
    except ScopedError as error:
        assert error.code == "not_found"
        return False
    return True


async def _live(house: Home, alice: Session, bob: Session) -> None:
    """Agents of alice act, her things are used by bob in scopes of his that she audits or not."""
    me = (await alice.call("whoami"))["principal"]["id"]
    for number in range(MANY):
        agent = await house.agent(f"agent {number}", of=alice)
        thing = await agent.call("object.create", {"type": "note", "data": {}})
        scope = (await bob.call("scope.create", {"name": f"scope {number}"}))["id"]
        role = "viewer" if number % 5 == 0 else "auditor"
        place = {"scope": scope, "principal": me, "role": role}
        await bob.call("scope.add_member", place)
        own = await bob.call("object.create", {"type": "note", "data": {}})
        await bob.call("object.share", {"object": own["id"], "scope": scope})
        if number % 2:
            await alice.call("agent.stop", {"id": house.id(f"agent {number}")})
            await alice.call("object.update", {"id": thing["id"], "data": {"n": number}})


async def test_pages_of_any_size_hold_what_single_reads_do(
    house: Home, alice: Session, bob: Session
) -> None:
    await _live(house, alice, bob)
    everything = await _pages(house.root, 100)
    made = set(await _pages(house.root, 100, operation="object.create"))
    for reader in (alice, bob):
        seen = [one for one in everything if await _sees(reader, one)]
        assert 0 < len(seen) < len(everything)
        for limit in (7, 100):
            assert await _pages(reader, limit) == seen
        asked = await _pages(reader, 5, operation="object.create")
        assert asked == [one for one in seen if one in made]
