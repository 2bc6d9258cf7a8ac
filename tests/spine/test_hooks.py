"""What extensions hang into the path: guards, entity guards, followers (rulings 13 and 14)."""

from __future__ import annotations

from typing import Any

import pytest

from scoped_mcp import Session
from scoped_mcp.kernel.errors import InvalidError, LimitedError
from scoped_mcp.layers.objects import Object
from scoped_mcp.spine.ports import ports
from tests.conftest import Home
from tests.sample import refused

NOTE: dict[str, Any] = {"type": "note", "data": {"n": 1}}


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A guard that lets nobody delete, and the names of what it was asked about."""
    asked: list[str] = []

    def guard(_tx: Any, operation: Any, _command: Any) -> None:
        asked.append(operation.name)
        if operation.name == "object.delete":
            message = "enough was deleted today"
            raise LimitedError(message, hint="try again tomorrow")

    monkeypatch.setattr(ports, "guards", [*ports.guards, guard])
    return asked


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """A guard of results that refuses `"dirty"`, and the states that it was shown."""
    shown: list[tuple[int, Any]] = []

    def guard(_tx: Any, entity: Any, content: bytes) -> None:
        if isinstance(entity, Object):
            shown.append((entity.version, entity.data))
            if b'"dirty"' in content:
                message = "this is dirty"
                raise InvalidError(message)

    monkeypatch.setattr(ports, "entity_guards", [*ports.entity_guards, guard])
    return shown


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int | None]]:
    """A follower of objects: which version followed which."""
    seen: list[tuple[int, int | None]] = []

    def follow(tx: Any, after: Any, before: Any) -> None:
        if isinstance(after, Object):
            assert tx.peek(Object, after.id) == after  # it is written already
            seen.append((after.version, None if before is None else before.version))

    monkeypatch.setattr(ports, "followers", [*ports.followers, follow])
    return seen


async def test_a_guard_refuses_a_command_before_anything_is_done(
    alice: Session, guarded: list[str]
) -> None:
    note = (await alice.call("object.create", NOTE))["id"]
    with refused("limited"):
        await alice.call("object.delete", {"id": note})
    assert (await alice.call("object.get", {"id": note}))["version"] == 1
    newest = (await alice.call("audit.list", {"about": note, "limit": 2}))["items"][1]
    assert (newest["operation"], newest["outcome"], newest["code"]) == (
        "object.delete",
        "denied",
        "limited",
    )
    assert guarded[:2] == ["object.create", "object.delete"]


async def test_a_guard_sees_operations_within_operations_and_undoes_the_whole(
    alice: Session, guarded: list[str]
) -> None:
    ids = [(await alice.call("object.create", NOTE))["id"] for _ in range(2)]
    guarded.clear()
    with refused("limited"):
        await alice.call("object.delete_many", {"objects": ids})
    assert guarded == ["object.delete_many", "object.delete"]
    assert len((await alice.call("object.list"))["items"]) == 2


async def test_a_guard_is_asked_only_about_what_the_caller_may_do(
    alice: Session, bob: Session, guarded: list[str]
) -> None:
    note = (await alice.call("object.create", NOTE))["id"]
    guarded.clear()
    with refused("not_found"):
        await bob.call("object.delete", {"id": note})
    assert guarded == []


async def test_a_guard_of_results_sees_every_resulting_state_whatever_made_it(
    house: Home, alice: Session, clean: list[tuple[int, Any]]
) -> None:
    note = (await alice.call("object.create", NOTE))["id"]
    await alice.call("object.update", {"id": note, "patch": {"m": 2}})
    await alice.call("object.delete", {"id": note})
    await alice.call("object.restore", {"id": note})
    merged = {"n": 1, "m": 2}
    assert clean == [(1, {"n": 1}), (2, merged), (3, merged), (4, merged)]
    for name, asked in (
        ("object.create", {"type": "note", "data": {"x": "dirty"}}),
        ("object.update", {"id": note, "patch": {"x": "dirty"}}),
        ("object.tag", {"id": note, "tags": ["dirty"]}),
        ("object.create_many", {"objects": [NOTE, {"type": "note", "data": {"x": "dirty"}}]}),
    ):
        with refused("invalid"):
            await alice.call(name, asked)
    assert [one["version"] for one in (await alice.call("object.list"))["items"]] == [4]
    assert (await house.root.call("audit.verify"))["ok"]


async def test_a_follower_is_told_of_each_version_once_it_is_written(
    alice: Session, followed: list[tuple[int, int | None]], clean: list[tuple[int, Any]]
) -> None:
    note = (await alice.call("object.create", NOTE))["id"]
    await alice.call("object.update", {"id": note, "data": {}})
    with refused("invalid"):
        await alice.call("object.update", {"id": note, "data": {"x": "dirty"}})
    await alice.call("object.delete", {"id": note})
    assert followed == [(1, None), (2, 1), (3, 2)]
    assert len(clean) == 4
