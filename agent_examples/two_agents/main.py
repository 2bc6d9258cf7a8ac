"""Two agents, one server: throwaway by default, kept on purpose, taken back at once.

Run it: `python agent_examples/two_agents/main.py`. It needs nothing but scoped-mcp, starts a server
on a free port with a database of its own, and ends with a non-zero code if anything does not hold.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parents[1]))
from stage import agents, call, connect, decide, place, play, refused, sees, who

if TYPE_CHECKING:
    from fastmcp.client import Client


async def story(alice: Client[Any], bob: Client[Any], url: str) -> None:
    """Each user makes an agent; what one of them keeps, the other may read."""
    (hers,), (his,) = await agents(alice, "agent"), await agents(bob, "agent")
    async with connect(url, hers["token"]) as writer, connect(url, his["token"]) as reader:
        note = await call(
            writer, "object_create", type="note", data={"title": "plan", "done": False}
        )
        await refused(reader, "not_found", "object_get", id=note["id"])
        assert await sees(reader) == {}
        print("an agent works in a throwaway environment: to another agent it does not exist")

        first = {"id": note["id"], "expected_version": 1}
        await call(writer, "object_update", **first, patch={"done": True})
        late = await refused(writer, "conflict", "object_update", **first, patch={"x": 1})
        print("a lost race says what to do:", late["hint"])

        members = {hers["principal"]["id"]: "contributor", await who(bob): "viewer"}
        members[his["principal"]["id"]] = "viewer"
        _, channel = await place(alice, "shared", members)
        asked = await call(writer, "promotion_request", objects=[note["id"]], channel=channel)
        assert asked["state"] == "pending", asked
        assert await sees(reader) == {}
        done = await decide(alice, asked["id"], "approve")
        assert done["state"] == "applied", done
        copy = done["objects"][0]["published"]
        read = await call(reader, "object_get", id=copy)
        assert read["data"] == {"title": "plan", "done": True}, read
        assert read["untrusted"] is True, read
        print("what a person approved is there for the other agent, marked as another's data")

        await call(writer, "object_update", id=note["id"], patch={"title": "changed"})
        assert await sees(reader) == {copy: read["data"]}
        denied = await refused(reader, "denied", "object_update", id=copy, patch={"done": False})
        print("it is what was approved, and reading is not writing:", denied["message"])

        trail = await call(alice, "audit_list", about=copy, outcome="denied")
        assert denied["entry"] in {entry["id"] for entry in trail["items"]}, trail
        print("the trail of the scope's owner names who tried to write")

        await call(writer, "environment_discard", id=note["environment"])
        await refused(writer, "not_found", "object_get", id=note["id"])
        assert await sees(reader) == {copy: read["data"]}
        await call(alice, "promotion_revert", id=asked["id"])
        await refused(reader, "not_found", "object_get", id=copy)
        print("the environment is gone; what was kept is, once it is taken back")


if __name__ == "__main__":
    play(story)
