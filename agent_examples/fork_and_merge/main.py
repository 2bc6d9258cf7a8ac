"""Two agents edit one published page: fast-forward, three-way merge, conflict and rebase.

Run it: `python agent_examples/fork_and_merge/main.py`. Neither ever writes the page itself: each
edits a fork of it in a throwaway environment, and what a person approves is merged path by path.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parents[1]))
from stage import agents, call, connect, decide, place, play, refused, sees, who

if TYPE_CHECKING:
    from fastmcp.client import Client

PAGE = {"title": "Handbook", "start": "Ask Bob.", "help": "Ask Carol.", "contacts": ["bob"]}


class Editor:
    """An agent that edits the page in an environment of its own."""

    def __init__(self, client: Client[Any], channel: str) -> None:
        """Act by this client, and publish through this channel."""
        self.client, self.channel = client, channel
        self.environment = self.fork = ""

    async def edit(self, page: str, **patch: object) -> None:
        """Edit an import of the page: that makes a fork."""
        spawned = await call(self.client, "environment_spawn", imports=[page])
        forked = await call(self.client, "object_update", id=page, patch=patch)
        assert forked["forked_from"]["object"] == page, forked
        self.environment, self.fork = spawned["id"], forked["id"]

    async def ask(self, **more: object) -> dict[str, Any]:
        """Ask to merge the fork into what it was forked from."""
        asked = {"objects": [self.fork], "channel": self.channel, **more}
        return await call(self.client, "promotion_request", **asked)


async def rebase(alice: Client[Any], ann: Editor, ben: Editor, page: str) -> str:
    """Both change one path: ann first, so that ben has to rebase; his last promotion."""
    await asyncio.gather(
        ann.edit(page, contacts=["bob", "ann"], title="The handbook"),
        ben.edit(page, contacts=["bob", "ben"], help="Ask ben."),
    )
    asked = await ann.ask()
    assert (await decide(alice, asked["id"], "approve"))["state"] == "applied"
    asked = await ben.ask()
    assert asked["state"] == "conflicted", asked
    (conflict,) = asked["objects"][0]["conflicts"]
    assert conflict["path"] == "/contacts"
    sides = [conflict[side] for side in ("base", "ours", "theirs")]
    assert sides == [["bob"], ["bob", "ben"], ["bob", "ann"]]
    await refused(
        alice,
        "conflict",
        "promotion_review",
        id=asked["id"],
        decision="approve",
        picture=asked["picture"],
    )
    print("a second round: both changed one path; the conflict shows base, ours and theirs")

    again = {"id": ben.environment, "objects": [page]}
    stuck = await refused(ben.client, "conflict", "environment_import", **again)
    assert "/contacts" in stuck["message"]
    theirs = {"contacts": conflict["theirs"]}
    await call(ben.client, "object_update", id=ben.fork, patch=theirs)
    await call(ben.client, "environment_import", **again)
    both = {"contacts": [*conflict["theirs"], "ben"]}
    rebased = await call(ben.client, "object_update", id=ben.fork, patch=both)
    assert rebased["data"]["title"] == "The handbook"
    asked = await ben.ask()
    assert (await decide(alice, asked["id"], "approve"))["state"] == "applied"
    return str(asked["id"])


async def story(alice: Client[Any], bob: Client[Any], url: str) -> None:
    """Alice keeps the page and reviews; bob reads it."""
    made = await agents(alice, "ann", "ben", toolsets=["core", "flow"])
    members = {one["principal"]["id"]: "contributor" for one in made} | {await who(bob): "viewer"}
    _, channel = await place(alice, "handbook", members)
    async with connect(url, made[0]["token"]) as one, connect(url, made[1]["token"]) as other:
        draft = await call(one, "object_create", type="page", data=PAGE)
        asked = await call(one, "promotion_request", objects=[draft["id"]], channel=channel)
        (item,) = (await decide(alice, asked["id"], "approve"))["objects"]
        page = str(item["published"])
        ann, ben = Editor(one, channel), Editor(other, channel)

        await asyncio.gather(
            ann.edit(page, start="Read this first."), ben.edit(page, help="Ask anybody.")
        )
        assert await sees(bob) == {page: PAGE}
        print("two agents edit the same page, each in its own fork; the page is as it was")

        asked = await ann.ask()
        assert (await decide(alice, asked["id"], "approve"))["state"] == "applied"
        now = PAGE | {"start": "Read this first."}
        assert await sees(bob) == {page: now}
        print("ann's is a fast-forward: nobody had changed the page since")

        asked = await ben.ask()
        (item,) = (await call(alice, "promotion_get", id=asked["id"]))["objects"]
        assert [(c["op"], c["path"]) for c in item["diff"]] == [("replace", "/help")]
        assert (await decide(alice, asked["id"], "approve"))["state"] == "applied"
        now |= {"help": "Ask anybody."}
        assert await sees(bob) == {page: now}
        print("ben's is merged path by path: what both changed is in it")

        promotion = await rebase(alice, ann, ben, page)
        now |= {"title": "The handbook", "help": "Ask ben.", "contacts": ["bob", "ann", "ben"]}
        assert await sees(bob) == {page: now}
        print("ben imports the page again, which rebases his fork, and that one is merged")

        history = (await call(bob, "object_history", id=page))["items"]
        assert [version["version"] for version in history] == [5, 4, 3, 2, 1]
        await call(alice, "promotion_revert", id=promotion)
        back = now | {"help": "Ask anybody.", "contacts": ["bob", "ann"]}
        assert await sees(bob) == {page: back}
        print("every step is a version, and the last one was taken back")


if __name__ == "__main__":
    play(story)
