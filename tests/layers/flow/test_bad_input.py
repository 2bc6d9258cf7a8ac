"""What is wrong is refused, with the hint that names the way, and leaves nothing but its trace."""

from __future__ import annotations

from typing import Any

import pytest

from scoped_mcp import ScopedError
from tests.layers.flow.conftest import Team, refused

OBJ, CHN, PRM, SCP = [f"{kind}_aaaaaaaaaaaaaaaa" for kind in ("obj", "chn", "prm", "scp")]
ENDS = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": SCP}}
INVALID: list[tuple[str, dict[str, Any]]] = [
    ("promotion.request", {"objects": [], "channel": CHN}),
    ("promotion.request", {"objects": [SCP], "channel": CHN}),
    ("promotion.request", {"objects": [OBJ], "channel": OBJ}),
    ("promotion.request", {"objects": [f"{OBJ}@0"], "channel": CHN}),
    ("promotion.request", {"objects": [f"{OBJ}@-1"], "channel": CHN}),
    ("promotion.request", {"objects": [f"{OBJ}@1@2"], "channel": CHN}),
    ("promotion.request", {"objects": [OBJ], "channel": CHN, "depends_on": ["x"]}),
    ("promotion.review", {"id": PRM, "decision": "maybe"}),
    ("promotion.review", {"id": CHN, "decision": "approve"}),
    ("promotion.review", {"id": PRM, "decision": "approve", "picture": "a" * 65}),
    ("promotion.list", {"state": "unknown"}),
    ("promotion.list", {"role": "all"}),
    ("promotion.list", {"limit": 101}),
    ("channel.create", ENDS | {"name": "x", "approvals": 11}),
    ("channel.create", ENDS | {"name": "x", "approvals": -1}),
    ("channel.create", ENDS | {"name": "x", "decide": "nobody"}),
    ("channel.create", ENDS | {"name": "x", "allowed_types": ["No such type"]}),
    ("channel.update", {"id": CHN, "allowed_types": ["No such type"]}),
    ("channel.create", ENDS | {"name": "x", "source": {"kind": "any_environment", "id": SCP}}),
    ("channel.create", ENDS | {"name": "x", "source": {"kind": "anywhere"}}),
    ("channel.create", ENDS | {"name": "x", "target": {"kind": "environment", "id": SCP}}),
    ("channel.set_state", {"id": CHN, "state": "frozen"}),
    ("pipeline.create", {"name": "x", "scope": SCP, "stages": []}),
    ("pipeline.create", {"name": "x", "scope": SCP, "stages": [{"name": "a", "approvals": 99}]}),
]


@pytest.mark.parametrize(("operation", "arguments"), INVALID)
async def test_what_does_not_parse_names_what_the_tool_takes(
    team: Team, operation: str, arguments: dict[str, Any]
) -> None:
    with refused("invalid", operation.replace(".", "_")):
        await team.alice.call(operation, arguments)


async def test_a_refusal_names_places_in_what_was_sent_and_nothing_of_ours(team: Team) -> None:
    asked = {"objects": [OBJ], "channel": CHN, "resolutions": {"/a": "mine"}}
    with pytest.raises(ScopedError) as caught:
        await team.alice.call("promotion.request", asked)
    assert "`resolutions//a`" in str(caught.value)


async def test_201_objects_are_too_many(team: Team) -> None:
    note = await team.note(team.bot, {})
    with refused("invalid", "several promotions"):
        await team.ask(team.bot, *[f"{note}@{n}" for n in range(1, 202)])


async def test_an_object_is_named_once_at_a_version_that_there_is(team: Team) -> None:
    note = await team.note(team.bot, {})
    with refused("invalid", "once"):
        await team.ask(team.bot, note, f"{note}@1")
    with refused("invalid", "object_history"):
        await team.ask(team.bot, f"{note}@2")
    with refused("invalid", "object_history"):
        await team.ask(team.bot, note, depends_on=[f"{note}@7"])


async def test_what_is_deleted_or_from_two_environments_is_refused(team: Team) -> None:
    first = await team.note(team.bot, {})
    await team.bot.call("environment.spawn")
    second = await team.note(team.bot, {})
    with refused("invalid", "one environment"):
        await team.ask(team.bot, first, second)
    await team.bot.call("object.delete", {"id": second})
    with refused("conflict", "object_restore"):
        await team.ask(team.bot, second)


async def test_a_channel_of_a_foreign_scope_is_not_there(team: Team) -> None:
    other = await team.house.user("other")
    scope = (await other.call("scope.create", {"name": "theirs"}))["id"]
    asked = ENDS | {"name": "x", "target": {"kind": "scope", "id": scope}}
    channel = (await other.call("channel.create", asked))["id"]
    with refused("not_found"):
        await team.ask(team.bot, await team.note(team.bot, {}), channel=channel)
    with refused("not_found"):
        await team.opened("x", target={"kind": "scope", "id": scope})


async def test_nothing_flows_into_environments_nor_the_root_scope(team: Team) -> None:
    home = await team.alice.call("environment.spawn")
    with refused("invalid", "environment_invite"):
        await team.opened("x", target={"kind": "scope", "id": home["scope"]})
    root = {"kind": "scope", "id": team.house.scoped.spine.house.root}
    with refused("invalid", "scope_create"):
        await team.house.root.call("channel.create", ENDS | {"name": "x", "target": root})
    with refused("not_found"):
        await team.opened("x", source=root)


async def test_what_is_published_already_is_not_published_into_its_own_scope(team: Team) -> None:
    (copy,) = await team.publish(team.bot, await team.note(team.bot, {}))
    with refused("invalid", "flow_routes"):
        await team.ask(team.rita, copy)


async def test_a_live_credential_in_a_comment_is_refused(team: Team) -> None:
    asked = await team.ask(team.bot, await team.note(team.bot, {}))
    token = team.house.token("rita")
    with refused("invalid"):
        await team.decide(team.rita, asked, "reject", comment=f"use {token}")
    assert await team.state(asked) == "pending"


async def test_no_tool_asks_in_whose_name(team: Team) -> None:
    for field in ("reviewer", "requester", "actor", "principal_id"):
        with refused("invalid"):
            await team.ask(team.bot, OBJ, **{field: team.house.id("alice")})
