"""An orchestrator: sub-agents with tokens that open one environment and nothing else.

Run it: `python agent_examples/orchestrator/main.py`. A lead agent cuts a job into parts, gives each
to a sub-agent whose token is pinned to the environment of the job, stops one of them in the middle,
joins what the others made, and asks a person to publish that.
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

JOB = Path(__file__).with_name("README.md")
PARTS = ("first", "second", "third")


async def work(agent: Client[Any], environment: str, lines: list[str]) -> str:
    """Count the words of some lines; the id of the result, in the environment of the job."""
    counted = {"lines": len(lines), "words": sum(len(line.split()) for line in lines)}
    made = await call(agent, "object_create", type="count", data=counted)
    assert made["environment"] == environment
    return str(made["id"])


async def is_turned_away(agent: Client[Any]) -> bool:
    """Whether its token opens nothing any more."""
    try:
        await refused(agent, "unauthenticated", "whoami")
    except AssertionError:  # it was answered
        return False
    except Exception:  # noqa: BLE001 - the door itself says 401, and each client what it makes of it
        return True
    return True


async def delegates_in_turn(sub: Client[Any], url: str, unseen: str) -> None:
    """A sub-agent makes a helper: it is pinned too, and holds no more."""
    wider = {"name": "way out", "ttl_seconds": 60}
    await refused(sub, "denied", "agent_delegate", **wider, toolsets=["core", "flow"])
    (helper,) = await agents(sub, "helper")
    assert helper["principal"]["name"].endswith("/first/helper")
    async with connect(url, helper["token"]) as below:
        await refused(below, "not_found", "object_get", id=unseen)
    print("what a sub-agent delegates in turn can never be more than its own")


async def story(alice: Client[Any], bob: Client[Any], url: str) -> None:
    """Alice owns a lead agent and what is published; bob reads it."""
    (lead_made,) = await agents(alice, "lead", toolsets=["core", "flow"])
    members = {lead_made["principal"]["id"]: "contributor", await who(bob): "viewer"}
    _, channel = await place(alice, "reports", members)
    hers = await call(alice, "object_create", type="note", data={"private": True})
    async with connect(url, lead_made["token"]) as lead:
        elsewhere = await call(lead, "environment_spawn", name="another job")
        other = await call(lead, "object_create", type="note", data={"of": "another job"})
        job = (await call(lead, "environment_spawn", name="the job"))["id"]
        made = await agents(lead, *PARTS, environment=job, toolsets=["core"])
        subs = [connect(url, one["token"]) for one in made]
        async with subs[0] as first, subs[1] as second, subs[2] as third:
            for sub in subs:
                for unseen in (hers["id"], other["id"]):
                    await refused(sub, "not_found", "object_get", id=unseen)
                await refused(sub, "not_found", "environment_get", id=elsewhere["id"])
                seen = (await call(sub, "environment_list"))["items"]
                assert [one["id"] for one in seen] == [job]
            print("three sub-agents see the environment of their job, and nothing else there is")

            await delegates_in_turn(first, url, other["id"])

            lines = JOB.read_text().splitlines()
            third_of = len(lines) // 3 + 1
            shares = [lines[n * third_of : (n + 1) * third_of] for n in range(3)]
            doing = (work(sub, job, lines) for sub, lines in zip(subs, shares, strict=True))
            results = list(await asyncio.gather(*doing))
            assert await sees(alice) == {hers["id"]: {"private": True}}
            print("they work side by side; the person who answers for all of them sees no data")

            await call(lead, "agent_stop", id=made[2]["principal"]["id"])
            assert await is_turned_away(third)
            assert not await is_turned_away(second)
            again = await call(lead, "object_get", id=results[2])
            assert again["data"]["lines"] == len(shares[2])
            print("one of them is stopped: its next call is refused, and its work is the lead's")

            parts = [(await call(lead, "object_get", id=one))["data"] for one in results]
            whole = {key: sum(part[key] for part in parts) for key in ("lines", "words")}
            assert whole["lines"] == len(lines)
            report = await call(lead, "object_create", type="report", data=whole)
            pinned = await refused(
                first, "not_found", "promotion_request", objects=[report["id"]], channel=channel
            )
            assert pinned["hint"]
            asked = {"objects": [report["id"]], "channel": channel}
            promotion = await call(lead, "promotion_request", **asked)
            assert (await decide(alice, promotion["id"], "approve"))["state"] == "applied"
            assert list((await sees(bob)).values()) == [whole]
            print("the lead joins the parts; a person approves the report, and that alone is seen")

            await call(lead, "environment_discard", id=job)
            assert await is_turned_away(first)
            assert await is_turned_away(second)
            assert list((await sees(bob)).values()) == [whole]
            print("the environment is gone, and with it every token that was pinned to it")


if __name__ == "__main__":
    play(story)
