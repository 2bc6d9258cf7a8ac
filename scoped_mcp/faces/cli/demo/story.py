"""The story: two users and their agents work beside each other, share on purpose, take it back."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from scoped_mcp.faces.cli.demo.stage import expect

if TYPE_CHECKING:
    from scoped_mcp.faces.cli.demo.stage import Stage

LEGACY = "legacy"
SHARED = 3
_HINT = re.compile(r'(\w+)\(id="(obj_\w+)"\).* expected_version=(\d+)')


async def everyone_is_somebody(stage: Stage) -> str:
    """Users get a token each, and make an agent each; an agent's sponsor answers for it."""
    root = stage.cast["root"] = await stage.enter("root", stage.root_token)
    for user, agent in (("alice", "writer"), ("bob", "reader")):
        toolsets = ["core", "audit"]
        issued = await root.call("token_issue", name=user, kind="user", toolsets=toolsets)
        one = stage.cast[user] = await stage.enter(user, issued["token"])
        made = await one.call("agent_delegate", name=agent, ttl_seconds=3600)
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
    expect(set(await writer.visible()) == set(stage.objects), "the writer does not see its own")
    expect(not await alice.visible(), "alice reads what her agent did not share")
    return f"{len(stage.objects)} sections of a document are objects that alice's agent alone sees"


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


async def sharing_shows_exactly_that(stage: Stage) -> str:
    """A scope has members; what is shared in it they see, and nothing else."""
    alice, writer, bob, reader = (stage.cast[n] for n in ("alice", "writer", "bob", "reader"))
    stage.scope = (await alice.call("scope_create", name="handbook"))["id"]
    for member, role in ((writer, "contributor"), (bob, "viewer"), (reader, "viewer")):
        await alice.call("scope_add_member", scope=stage.scope, principal=member.id, role=role)
    shared = stage.objects[:SHARED]
    for object_id in shared:
        await writer.call("object_share", object=object_id, scope=stage.scope)
    seen = await reader.visible()
    expect(set(seen) == set(shared), "bob's agent does not see exactly what was shared")
    one = await reader.call("object_get", id=shared[0])
    expect(one["untrusted"] is True, "what another wrote is not marked as data")
    expect(one["provenance"]["author"] == writer.id, "its author is not named")
    return f"bob's agent sees exactly the {SHARED} shared sections, marked as another's data"


async def reading_is_not_writing(stage: Stage) -> str:
    """A share has a level, and a refusal has an entry."""
    reader, writer = stage.cast["reader"], stage.cast["writer"]
    target = stage.objects[0]
    before = (await writer.call("object_get", id=target))["version"]
    patch = {"text": "mine now"}
    error = await reader.refused("denied", "object_update", id=target, patch=patch)
    stage.hidden_entry = error["entry"]
    await reader.refused("denied", "object_delete", id=target)
    await reader.refused("denied", "object_share", object=target, scope=stage.scope)
    after = (await writer.call("object_get", id=target))["version"]
    expect(after == before, "a refused write changed something")
    return "it may read them; writing, deleting and sharing on are denied, and change nothing"


async def revocation_bites_the_next_call(stage: Stage) -> str:
    """What is taken back is gone for the very next call."""
    alice, writer, reader = (stage.cast[name] for name in ("alice", "writer", "reader"))
    first, *others = stage.objects[:SHARED]
    await reader.call("object_get", id=first)
    await writer.call("object_unshare", object=first, scope=stage.scope)
    await reader.refused("not_found", "object_get", id=first)
    expect(set(await reader.visible()) == set(others), "more than one share was taken back")
    await alice.call("scope_remove_member", scope=stage.scope, principal=reader.id)
    await reader.refused("not_found", "object_get", id=others[0])
    expect(not await reader.visible(), "who is no member still sees shares")
    return "an unshared section and then a lost membership were gone for the very next call"
