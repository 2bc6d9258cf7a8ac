"""A research team: three agents side by side, and nothing leaves them but what a person approved.

Run it: `python agent_examples/research_team/main.py`. Each agent reads one of the files in
`sources/` in a throwaway environment of its own, notes its sections, and asks to
publish what it found.
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

SOURCES = {path.stem: path for path in sorted((Path(__file__).parent / "sources").glob("*.md"))}

TOLD = {"environment.spawn", "environment.discard"}
TOLD |= {"promotion.request", "promotion.review", "promotion.apply"}


async def research(agent: Client[Any], topic: str) -> tuple[str, str]:
    """Read one file, note its sections, and draw one finding from them: its id and environment."""
    environment = await call(agent, "environment_spawn", name=topic, purpose=f"read {topic}")
    claims = []
    for section in SOURCES[topic].read_text().split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        text = " ".join(body.split())
        await call(agent, "object_create", type="note", data={"heading": heading, "text": text})
        claims.append(text.partition(". ")[0].rstrip(".") + ".")
    finding = {"topic": topic, "claims": claims}
    if topic != "geysers":  # one of them forgets where it has that from
        finding["source"] = SOURCES[topic].name
    made = await call(agent, "object_create", type="finding", name=topic, data=finding)
    assert made["environment"] == environment["id"]
    return made["id"], environment["id"]


async def judge(alice: Client[Any], waiting: list[str]) -> str:
    """Approve what names its source, and send back what does not: the id of that one."""
    rejected = ""
    for one in waiting:
        (item,) = (await call(alice, "promotion_get", id=one))["objects"]
        if any("source" in str(change) for change in item["diff"]):
            assert (await decide(alice, one, "approve"))["state"] == "applied"
        else:
            comment = "say which file it is from, as `source`"
            said = await decide(alice, one, "reject", comment=comment)
            assert said["state"] == "rejected"
            rejected = one
    return rejected


async def tell(alice: Client[Any], names: dict[str, str]) -> None:
    """Tell the trail of it, as far as it is alice's to see."""
    print("what the trail tells alice of it:")
    told: list[str] = []
    for one in reversed((await call(alice, "audit_list", limit=100))["items"]):
        if one["operation"] in TOLD:
            told.append(one["operation"])
            by = names.get(one["principal"], "alice")
            print(f"  {one['at'][11:19]}  {by:<15}  {one['operation']:<20}  {one['outcome']}")
    assert told.count("environment.discard") == told.count("promotion.apply") == len(SOURCES)
    assert told.count("promotion.review") == told.count("promotion.request") == len(SOURCES) + 1


async def story(alice: Client[Any], bob: Client[Any], url: str) -> None:
    """Alice answers for the agents and reviews; bob reads what she let through."""
    made = await agents(alice, *SOURCES, toolsets=["core", "flow"])
    members = {one["principal"]["id"]: "contributor" for one in made} | {await who(bob): "viewer"}
    _, channel = await place(alice, "findings", members)
    clients = [connect(url, one["token"]) for one in made]
    async with clients[0], clients[1], clients[2]:
        team = dict(zip(SOURCES, clients, strict=True))
        found = await asyncio.gather(*(research(agent, t) for t, agent in team.items()))
        findings = dict(zip(SOURCES, found, strict=True))
        for topic, agent in team.items():
            mine = await sees(agent)
            assert findings[topic][0] in mine
            assert not mine.keys() & {one for t, (one, _) in findings.items() if t != topic}
        assert await sees(bob) == await sees(alice) == {}
        print("three agents worked side by side; none saw another's work, and nobody outside any")

        for topic, agent in team.items():
            finding = findings[topic][0]
            await call(agent, "promotion_request", objects=[finding], channel=channel)
        waiting = (await call(alice, "promotion_list", role="to_review"))["items"]
        assert len(waiting) == len(SOURCES)
        assert await sees(bob) == {}
        rejected = await judge(alice, [one["id"] for one in waiting])
        assert len(await sees(bob)) == len(SOURCES) - 1
        print("two findings were approved by the person who read them, one was sent back")

        geysers, finding = team["geysers"], findings["geysers"][0]
        (review,) = (await call(geysers, "promotion_get", id=rejected))["reviews"]
        assert "source" in review["comment"]
        patch = {"source": SOURCES["geysers"].name}
        await call(geysers, "object_update", id=finding, patch=patch, reason=review["comment"])
        asked = await call(geysers, "promotion_request", objects=[finding], channel=channel)
        assert (await decide(alice, asked["id"], "approve"))["state"] == "applied"
        published = await sees(bob)
        assert {one["topic"] for one in published.values()} == SOURCES.keys()
        assert all(one["source"] == f"{one['topic']}.md" for one in published.values())
        print("the agent read why, did it again, and that one was approved too")

        for topic, agent in team.items():
            finding, environment = findings[topic]
            await call(agent, "environment_discard", id=environment, reason="done")
            await refused(agent, "not_found", "object_get", id=finding)
        assert await sees(bob) == published
        print("the environments are gone with every note in them; the three findings stay")

    await tell(alice, {one["principal"]["id"]: one["principal"]["name"] for one in made})


if __name__ == "__main__":
    play(story)
