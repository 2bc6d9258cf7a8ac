"""The story: two users and their agents work beside each other, share on purpose, take it back."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from scoped_mcp.faces.cli.demo.stage import expect

if TYPE_CHECKING:
    from scoped_mcp.faces.cli.demo.stage import Stage

LEGACY = "legacy"
AGENTS = ["core", "audit", "review"]
SHARED = 3
_HINT = re.compile(r'(\w+)\(id="(obj_\w+)"\).* expected_version=(\d+)')


async def everyone_is_somebody(stage: Stage) -> str:
    """Users get a token each, and make an agent each; an agent's sponsor answers for it."""
    root = stage.cast["root"] = await stage.enter("root", stage.root_token)
    for user, agent in (("alice", "writer"), ("bob", "reader")):
        toolsets = ["core", "audit", "flow", "review"]
        issued = await root.call("token_issue", name=user, kind="user", toolsets=toolsets)
        one = stage.cast[user] = await stage.enter(user, issued["token"])
        made = await one.call("agent_delegate", name=agent, ttl_seconds=3600, toolsets=AGENTS)
        mode = LEGACY if user == "bob" else "auto"  # both eras of the protocol
        own = stage.cast[agent] = await stage.enter(agent, made["token"], mode)
        me = await own.call("whoami")
        expect(me["principal"]["name"] == f"{user}/{agent}", "an agent is not itself")
        expect(me["sponsor"]["name"] == user, "an agent's sponsor is not its user")
    return "alice and bob each have an agent with a principal of its own, for which they answer"


async def what_is_made_is_private(stage: Stage) -> str:
    """The sections of a document become objects that their maker alone sees."""
    writer, alice = stage.cast["writer"], stage.cast["alice"]
    for section in stage.sections:
        data = {"heading": section.name, "text": section.text}
        made = await writer.call("object_create", type="section", name=section.name, data=data)
        stage.objects.append(made["id"])
        stage.environment = made["environment"]
    expect(set(await writer.visible()) == set(stage.objects), "the writer does not see its own")
    expect(not await alice.visible(), "alice reads what her agent did not share")
    place = await writer.call("environment_get", id=stage.environment)
    expect(place["objects"] == len(stage.objects), "they are not all in one environment")
    await alice.refused("not_found", "environment_get", id=stage.environment)
    return f"{len(stage.objects)} sections lie in a throwaway environment that its agent alone sees"


async def changes_make_versions(stage: Stage) -> str:
    """An update is a new version; the one before stays."""
    writer = stage.cast["writer"]
    for object_id in stage.objects[:2]:
        changed = await writer.call(
            "object_update", id=object_id, patch={"status": "revised"}, expected_version=1
        )
        expect(changed["version"] == 2, "an update is not the second version")  # noqa: PLR2004 - the second is two
        before = await writer.call("object_get", id=object_id, version=1)
        expect("status" not in before["data"], "the first version has changed")
    history = await writer.call("object_history", id=stage.objects[0], from_version=1, to_version=2)
    wanted = [{"op": "add", "path": "/status", "value": "revised"}]
    expect(history["diff"] == wanted, "the history does not say what changed")
    return "two updates made new versions; the first ones can still be read, and compared"


async def a_lost_race_loses_nothing(stage: Stage) -> str:
    """Two writers at once: one wins, the other follows the hint of its refusal."""
    writer = stage.cast["writer"]
    second = await stage.enter("writer", writer.token)
    stage.cast["writer's second connection"] = second
    target = stage.objects[0]
    read = (await writer.call("object_get", id=target))["version"]
    patches = ({"checked": True}, {"words": 42})
    racing = ((writer, patches[0]), (second, patches[1]))
    answers = await asyncio.gather(
        *(
            one.answer("object_update", id=target, patch=patch, expected_version=read)
            for one, patch in racing
        )
    )
    lost = [number for number, answer in enumerate(answers) if "error" in answer]
    expect(len(lost) == 1, "not exactly one of two racing updates was refused")
    error = answers[lost[0]]["error"]
    hint = _HINT.search(error["hint"])
    expect(error["code"] == "conflict" and hint, "the loser is not told what to do")
    if hint is not None:
        tool, object_id, version = hint.groups()
        loser, patch = racing[lost[0]]
        await loser.call(tool, id=object_id)
        await loser.call("object_update", id=object_id, patch=patch, expected_version=int(version))
    data = (await writer.call("object_get", id=target))["data"]
    expect(data["checked"] is True and data["words"] == 42, "a change was lost")  # noqa: PLR2004 - the second is two
    return "of two updates at once one got a conflict, did what its hint said, and both are there"


async def strangers_see_nothing(stage: Stage) -> str:
    """What is private answers as if it did not exist, to the letter."""
    reader = stage.cast["reader"]
    expect(not await reader.visible(), "bob's agent sees private objects")
    private, absent = stage.objects[0], "obj_" + "z" * 16
    hidden = await reader.refused("not_found", "object_get", id=private)
    missing = await reader.refused("not_found", "object_get", id=absent)
    for error, named in ((hidden, private), (missing, absent)):
        error["message"] = error["message"].replace(named, "…")
        error["hint"] = error["hint"].replace(named, "…")
        error.pop("entry")
    expect(hidden == missing, "a private object answers otherwise than one that does not exist")
    return "to bob's agent a private object is the same as one that does not exist"


async def nothing_leaves_but_through_a_channel(stage: Stage) -> str:
    """What shall stay is requested, looked at, and approved by somebody else."""
    alice, writer, bob, reader = (stage.cast[n] for n in ("alice", "writer", "bob", "reader"))
    stage.scope = (await alice.call("scope_create", name="handbook"))["id"]
    for member, role in ((writer, "contributor"), (bob, "viewer"), (reader, "viewer")):
        await alice.call("scope_add_member", scope=stage.scope, principal=member.id, role=role)
    ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": stage.scope}}
    channel = await alice.call("channel_create", name="into the handbook", approvals=1, **ends)
    inside = stage.objects[:SHARED]
    await writer.refused("invalid", "object_share", object=inside[0], scope=stage.scope)
    stage.channel = channel["id"]
    asked = await writer.call("promotion_request", objects=inside, channel=stage.channel)
    stage.promotion = asked["id"]
    expect(asked["state"] == "pending", "a promotion does not wait for its reviewer")
    expect(not await reader.visible(), "what waits for review is seen")
    yes = {"id": stage.promotion, "decision": "approve", "picture": asked["picture"]}
    await writer.refused("denied", "promotion_review", **yes)
    looked = await alice.call("promotion_get", id=stage.promotion)
    expect(len(looked["objects"]) == SHARED, "the reviewer does not see what would land")
    done = await alice.call("promotion_review", **yes | {"picture": looked["picture"]})
    expect(done["state"] == "applied", "an approved promotion was not applied")
    stage.published = [one["published"] for one in done["objects"]]
    return f"{SHARED} sections waited for review; their agent could not approve them, alice did"


async def the_copy_is_what_was_approved(stage: Stage) -> str:
    """Others see exactly the approved versions, whatever happens inside afterwards."""
    writer, reader = stage.cast["writer"], stage.cast["reader"]
    seen = await reader.visible()
    expect(set(seen) == set(stage.published), "bob's agent does not see exactly what was approved")
    before = await reader.call("object_get", id=stage.published[0])
    expect(before["untrusted"] is True, "what another wrote is not marked as data")
    expect(before["owner"] == stage.scope, "a published copy is not its scope's")
    await writer.call("object_update", id=stage.objects[0], patch={"text": "changed afterwards"})
    after = await reader.call("object_get", id=stage.published[0])
    expect(after["data"] == before["data"], "an edit inside changed what was approved")
    return "bob's agent sees exactly these; an edit of the original changed nothing outside"


async def reading_is_not_writing(stage: Stage) -> str:
    """A place has a level, and a refusal has an entry."""
    reader, target = stage.cast["reader"], stage.published[0]
    before = (await reader.call("object_get", id=target))["version"]
    patch = {"text": "mine now"}
    error = await reader.refused("denied", "object_update", id=target, patch=patch)
    stage.hidden_entry = error["entry"]
    await reader.refused("denied", "object_delete", id=target)
    await reader.refused("denied", "object_share", object=target, scope=stage.scope)
    after = (await reader.call("object_get", id=target))["version"]
    expect(after == before, "a refused write changed something")
    return "it may read them; writing, deleting and sharing on are denied, and change nothing"


async def what_was_published_can_be_taken_back(stage: Stage) -> str:
    """A rollback is the opposite change, and can itself be rolled back."""
    alice, reader = stage.cast["alice"], stage.cast["reader"]
    back = await alice.call("promotion_revert", id=stage.promotion, reason="too early")
    expect(back["state"] == "reverted", "a promotion was not reverted")
    expect(not await reader.visible(), "what was taken back is seen")
    again = await alice.call("promotion_revert", id=stage.promotion, reason="now it is time")
    expect(again["state"] == "applied", "the rollback was not rolled back")
    expect(set(await reader.visible()) == set(stage.published), "not all of it came back")
    return "alice took the publication back, and the taking back too: each is a new version"


async def an_edit_of_what_is_published_is_a_fork(stage: Stage) -> str:
    """An import is edited in a fork; approved, it is merged into what was published."""
    alice, writer, reader = (stage.cast[n] for n in ("alice", "writer", "reader"))
    target, patch = stage.published[1], {"status": "merged"}
    await writer.call("environment_import", id=stage.environment, objects=[target])
    fork = await writer.call("object_update", id=target, patch=patch)
    expect(fork["forked_from"]["object"] == target, "an edit of an import is no fork of it")
    before = await reader.call("object_get", id=target)
    expect(before["data"].get("status") != "merged", "an edit of an import changed the published")
    asked = await writer.call("promotion_request", objects=[fork["id"]], channel=stage.channel)
    stage.merged = asked["id"]
    looked = await alice.call("promotion_get", id=stage.merged)
    expect(looked["objects"][0]["diff"], "the reviewer does not see what would change")
    yes = {"id": stage.merged, "decision": "approve", "picture": looked["picture"]}
    await alice.call("promotion_review", **yes)
    after = await reader.call("object_get", id=target)
    expect(after["data"] == before["data"] | patch, "the fork was not merged")
    return "the writer edited a copy; alice saw the difference, and it is a new version outside"


async def a_pinned_agent_has_one_environment(stage: Stage) -> str:
    """A token that an agent delegates into its environment opens that one and nothing else."""
    writer = stage.cast["writer"]
    asked = {"name": "helper", "ttl_seconds": 600, "environment": stage.environment}
    made = await writer.call("agent_delegate", **asked)
    helper = stage.cast["helper"] = await stage.enter("helper", made["token"])
    expect(set(stage.objects) <= set(await helper.visible()), "it does not see its environment")
    await helper.refused("not_found", "object_get", id=stage.published[0])
    return "alice's agent made a helper whose token opens one environment, and nothing else"


async def what_is_thrown_away_is_gone(stage: Stage) -> str:
    """Discarding an environment is one change; what was published stays."""
    writer, reader = stage.cast["writer"], stage.cast["reader"]
    await writer.call("environment_discard", id=stage.environment, reason="done")
    await writer.refused("not_found", "object_get", id=stage.objects[0])
    expect(set(await writer.visible()) == set(stage.published), "something inside is still there")
    expect(set(await reader.visible()) == set(stage.published), "a published copy went with it")
    expect(await stage.turned_away(stage.cast["helper"].token), "a pinned token outlives it")
    return "it is discarded with all inside and the helper's token; what was published stays"


async def revocation_bites_the_next_call(stage: Stage) -> str:
    """What is taken back is gone for the very next call."""
    alice, reader = stage.cast["alice"], stage.cast["reader"]
    await reader.call("object_get", id=stage.published[0])
    await alice.call("scope_remove_member", scope=stage.scope, principal=reader.id)
    await reader.refused("not_found", "object_get", id=stage.published[0])
    expect(not await reader.visible(), "who is no member still sees what is published")
    return "a lost membership was gone for the very next call"
