"""A viewer tries everything: nothing of others changes (layers.md §4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoped_mcp import ScopedError
from scoped_mcp.spine.declare import Effect, catalogue
from scoped_mcp.storage.path import registry, versions
from tests.promises import promise
from tests.sample import PLACEHOLDER, sample

WRITING = [one for one in catalogue.values() if one.tool and one.effect is not Effect.READ]
NEWEST = select(registry.c.public_id, versions.c.version).join_from(
    registry, versions, versions.c.id == registry.c.id
)


@promise("scopes.viewer")
@pytest.mark.parametrize("operation", WRITING, ids=lambda one: one.name)
async def test_a_viewer_trying_everything_changes_nothing_of_others(
    operation: Any, tmp_path: Path
) -> None:
    async with sample(tmp_path) as house:
        gina = await house.scoped.session(house.plan.tokens["gina"])
        me = await gina.call("whoami")
        seen = await gina.call("scope.get", {"id": house.plan.ids["scp_aaaaaaaaaaaaaaaa"]})
        assert seen["role"] == "viewer", "or this would prove nothing"
        owned = {me["principal"]["id"], me["session"]["id"]}
        owned |= {one["id"] for one in (await gina.call("token.list"))["items"]}
        before = set(await house.rows(NEWEST))
        existing = {public_id for public_id, _ in before}
        example = dict(operation.command.example)
        refused = False
        try:
            await gina.call(operation.name, house.fill(example))
        except ScopedError as error:
            refused = True
            assert error.code in {"not_found", "denied"}, error
        changed = {one for one, _ in set(await house.rows(NEWEST)) - before} & existing
        mine = {
            one["id"] for one in (await gina.call("registry.list", {"kind": "membership"}))["items"]
        }
        assert changed <= owned | mine
        assert refused or not PLACEHOLDER.search(json.dumps(example)) or not changed - mine - owned
