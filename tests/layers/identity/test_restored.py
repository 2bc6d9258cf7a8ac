"""A restored copy beside the original: what crosses from one to the other opens nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scoped_mcp import Scoped, Session
from tests.promises import promise
from tests.sample import refused

NOTE = {"type": "note", "data": {"title": "hello"}}
OTHER = {"type": "note", "data": {"title": "bye"}}


@asynccontextmanager
async def restored(source: str, folder: Path) -> AsyncIterator[tuple[Scoped, Session, str]]:
    """A copy of a database as it is now, open, and its recovered owner."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'scoped.db'}"
    Scoped.back_up(source, folder / "backup.db")
    await Scoped.restore(url, folder / "backup.db")
    token = await Scoped.recover(url, "root")
    async with Scoped.open(url) as scoped:
        yield scoped, await scoped.session(token), token


@pytest.fixture
async def original(tmp_path: Path) -> AsyncIterator[tuple[Scoped, str, str]]:
    """A house with the machine's own clock, its URL and its first token."""
    url = f"sqlite:///{tmp_path / 'scoped.db'}"
    token = await Scoped.create(url, name="root")
    async with Scoped.open(url) as scoped:
        yield scoped, url, token


@promise("restore.beside", "restore.before")
async def test_a_restored_copy_runs_beside_the_original_and_neither_opens_the_other(
    original: tuple[Scoped, str, str], tmp_path: Path
) -> None:
    scoped, url, root_token = original
    root = await scoped.session(root_token)
    issued = await root.call("token.issue", {"name": "alice", "kind": "user"})
    alice = await scoped.session(issued["token"])
    made = await alice.call("object.create", NOTE, key="k")
    helper = await alice.call("agent.delegate", {"name": "helper", "ttl_seconds": 3_600})
    await alice.call("object.create", NOTE)
    cursor = (await alice.call("object.list", {"limit": 1}))["next_cursor"]
    on = {"limit": 1, "cursor": cursor}
    async with restored(url, tmp_path / "copy") as (copy, owner, owner_token):
        for old in (root_token, issued["token"], helper["token"]):
            with refused("unauthenticated"):  # what came with the backup opens nothing in the copy
                await copy.session(old)
            assert await scoped.session(old)
        again = await owner.call("token.issue", {"principal": issued["principal"]["id"]})
        there = await copy.session(again["token"])
        for new in (owner_token, again["token"]):
            with refused("unauthenticated"):  # nor what the copy gave out in the original
                await scoped.session(new)
        assert await alice.call("object.list", on)
        with refused("invalid"):
            await there.call("object.list", on)
        assert (await alice.call("object.create", NOTE, key="k"))["id"] == made["id"]
        with refused("conflict"):
            await alice.call("object.create", OTHER, key="k")
        fresh = await there.call("object.create", OTHER, key="k")
        with refused("not_found"):
            await alice.call("object.get", {"id": fresh["id"]})
        for one in (root, owner):
            assert (await one.call("audit.verify"))["ok"]


@promise("restore.beside", "restore.dead")
async def test_copies_of_one_backup_and_copies_of_copies_do_not_open_each_other(
    original: tuple[Scoped, str, str], tmp_path: Path
) -> None:
    """Two copies are both of epoch 1: their credentials have nothing else in common."""
    _, url, root_token = original
    async with (
        restored(url, tmp_path / "first") as (first, _, one),
        restored(url, tmp_path / "second") as (second, _, two),
        restored(f"sqlite:///{tmp_path / 'first' / 'scoped.db'}", tmp_path / "third") as (
            third,
            owner,
            three,
        ),
    ):
        crossed = [(first, two), (second, one), (third, one), (third, two), (first, three)]
        for house, token in [*crossed, (third, root_token)]:
            with refused("unauthenticated"):
                await house.session(token)
        begun = await owner.call("audit.list", {"operation": "house.begin_epoch"})
        assert len(begun["items"]) == 2
        assert (await owner.call("audit.verify"))["ok"]
