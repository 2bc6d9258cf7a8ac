"""The proofs: saying so changes nothing, the trail names everything, tampering is found."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from mcp import MCPError

from scoped_mcp.app import Scoped
from scoped_mcp.config import Settings
from scoped_mcp.faces.cli.demo.stage import expect
from scoped_mcp.storage import driver

if TYPE_CHECKING:
    from pathlib import Path

    from scoped_mcp.faces.cli.demo.stage import Stage


async def saying_so_changes_nothing(stage: Stage) -> str:
    """Who calls is what the token says: no argument, no header, no guess."""
    alice, writer, reader = (stage.cast[name] for name in ("alice", "writer", "reader"))
    data = {"title": "not mine"}
    for forged in ("owner", "owner_id", "principal", "actor"):
        wanted: dict[str, Any] = {forged: alice.id}
        await reader.refused("invalid", "object_create", type="note", data=data, **wanted)
    expect(not await reader.visible(), "a refused creation made something")
    session = (await alice.call("whoami"))["session"]["id"]
    spoofed = {
        "mcp-session-id": session,
        "X-User": "alice",
        "X-Forwarded-User": "alice",
        "X-Principal-Id": alice.id,
    }
    liar = stage.cast["a liar"] = await stage.enter("reader", reader.token, **spoofed)
    expect(liar.id == reader.id, "a header says who calls")
    await liar.refused("not_found", "object_get", id=stage.objects[0])
    note = await liar.call("object_create", type="note", data=data)
    expect(note["owner"] == reader.id, "a header says who owns")
    expect(note["id"] not in await writer.visible(), "a header put something among another's")
    last = "a" if writer.token[-1] != "a" else "b"
    expect(await stage.turned_away(writer.token[:-1] + last), "a guessed token opens the door")
    return "a forged owner, spoofed session and user headers and a guessed token change nothing"


async def a_stopped_agent_is_stopped(stage: Stage) -> str:
    """A credential ends at once, for who is connected and for who connects."""
    bob = stage.cast["bob"]
    made = await bob.call("agent_delegate", name="spare", ttl_seconds=600)
    spare = await stage.enter("spare", made["token"])
    await spare.call("object_list")
    await bob.call("agent_stop", id=spare.id)
    try:
        answer = await spare.answer("object_list")
    except MCPError:  # the client's word for 401
        answer = {"error": {"code": "unauthenticated"}}
    refused = answer.get("error", {}).get("code") == "unauthenticated"
    expect(refused, "a revoked token still works on an open connection")
    expect(await stage.turned_away(made["token"]), "a revoked token opens the door")
    return "bob stopped a second agent: its open connection and its token opened nothing more"


async def the_trail_names_all_of_it(stage: Stage) -> str:
    """Whoever may read all of the trail finds every call; each agent finds its part."""
    root, alice, writer, reader = (stage.cast[n] for n in ("root", "alice", "writer", "reader"))
    trail = {entry["id"]: entry for entry in await root.pages("audit_list")}
    refusals = {entry for actor in stage.cast.values() for entry in actor.refusals if entry}
    expect(refusals and refusals <= set(trail), "a refusal is not in the trail")
    expect(all(trail[e]["outcome"] != "done" for e in refusals), "a refusal counts as done")
    made = [
        e for e in trail.values() if (e["operation"], e["outcome"]) == ("object.create", "done")
    ]
    expect(len(made) == len(stage.objects) + 1, "the trail does not name every creation")
    named = {e["operation"] for e in trail.values() if e["outcome"] == "done"}
    wanted = {"environment.spawn", "promotion.request", "promotion.review", "promotion.revert"}
    wanted |= {"environment.discard", "scope.create", "scope.remove_member", "agent.stop"}
    expect(not wanted - named, "the trail does not name what was done")
    hidden = all(e.get("target") is None and not e["changes"] for e in made)
    expect(hidden, "an auditor reads ids of what is inside an environment")
    bobs = {e["id"]: e for e in await reader.pages("audit_list")}
    expect({e["principal"] for e in bobs.values()} == {reader.id}, "an agent reads another's trail")
    hers = {e["id"]: e for e in await writer.pages("audit_list")}
    admins = {e["id"] for e in await alice.pages("audit_list")}
    expect(stage.hidden_entry in admins, "a scope's owner does not see who tried to write")
    expect(stage.hidden_entry in bobs, "an agent does not see its own refusal")
    beyond = [e for e in hers.values() if e["principal"] != writer.id]
    targets = {e.get("target") for e in beyond}
    known = {None, *stage.objects, *stage.published, stage.promotion, stage.scope, writer.id}
    known |= {stage.environment, stage.merged}
    expect(targets <= known, "an agent sees too much")
    answered = {e["principal"] for e in await alice.pages("audit_list")}
    expect(writer.id in answered, "a sponsor does not see that its agent worked")
    counts = f"{len(trail)} entries, {len(refusals)} of them refusals"
    return f"{counts}; of these alice's agent sees {len(hers)}, bob's {len(bobs)}"


async def the_trail_verifies(stage: Stage) -> str:
    """Every entry, version and state is recomputed from its bytes."""
    found = await stage.cast["root"].call("audit_verify")
    expect(found["ok"], f"the trail does not verify: {found.get('problem')}")
    return f"{found['entries']} entries and {found['versions']} versions verify"


async def tampering_is_found(stage: Stage) -> str:
    """Somebody with the file at hand hides a refusal, on a copy: the guard, then the chain."""
    await stage.stop()
    copy = stage.folder / "edited.db"
    expect(_edit(stage.folder / "scoped.db", copy, stage.hidden_entry), "the guard let it pass")
    settings = Settings(db=str(copy), key_file=stage.folder / "scoped.db.key")
    async with Scoped.open(settings.db, settings=settings) as scoped:
        root = await scoped.session(stage.root_token)
        found = await root.call("audit.verify")
    problem: dict[str, Any] = found.get("problem") or {}
    expect(not found["ok"], "an edited trail verifies")
    expect(problem.get("entry") == stage.hidden_entry, "the wrong entry is named")
    where = f"entry {problem['seq']} ({problem['entry']}): {problem['detail']}"
    return f"a trigger refused the edit; once dropped, verification named {where}"


def _edit(path: Path, copy: Path, entry: str) -> bool:
    """Copy the database and turn a refusal into a success; whether its guard objected first."""
    hide = "UPDATE entries SET outcome = 'done' WHERE public_id = ?"
    with (
        contextlib.closing(driver.connect(path)) as raw,
        contextlib.closing(driver.connect(copy)) as target,
    ):
        raw.backup(target)
    with contextlib.closing(driver.connect(copy)) as raw:
        try:
            raw.execute(hide, (entry,))
        except driver.dbapi.Error:
            guarded = True
        else:
            guarded = False
        raw.execute("DROP TRIGGER guard_entries_update")
        raw.execute(hide, (entry,))
    return guarded
