"""`scoped-mcp environment`: what one is in, looked at, kept alive and thrown away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faces.cli import Cli, new_house

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    return new_house(tmp_path)


def spawned(who: Cli, **asked: Any) -> Any:
    made = who("call", "environment.spawn", json.dumps(asked))
    assert made.code == 0, made.err
    return made.json


def test_it_is_listed_and_shown_to_who_is_in_it(root: Cli) -> None:
    here = spawned(root, name="lab", purpose="try it out")
    agent = root.issue("helper", "--kind", "agent")
    (row,) = root("environment", "list").out.splitlines()
    assert row.split("\t")[:3] == [here["id"], "lab", "active"]
    shown = root("environment", "show", here["id"])
    assert shown.code == 0
    assert "for: try it out" in shown.out
    assert "owner" in shown.out
    assert here["id"] in shown.err
    assert root("environment", "show", here["id"], "--json").json == here
    assert agent("environment", "list", "--json").json["items"] == []
    assert agent("environment", "show", here["id"], "--json").error == "not_found"


def test_it_is_extended_and_discarded_by_its_owner(root: Cli) -> None:
    here = spawned(root, name="lab")
    assert root("environment", "extend", here["id"], "--ttl", "soon").code == 2
    longer = root("environment", "extend", here["id"], "--ttl", "2d", "--json").json
    assert longer["ttl_seconds"] == 2 * 86_400
    assert longer["expires_at"] > here["expires_at"]
    assert root("environment", "extend", here["id"]).code == 0
    agent = root.issue("helper", "--kind", "agent")
    assert agent("environment", "discard", here["id"], "--json").error == "not_found"
    gone = root("environment", "discard", here["id"], "--reason", "done with it")
    assert (gone.code, gone.err) == (0, f"{here['id']} (lab) is discarded\n")
    assert root("environment", "list").out == ""
    over = root("environment", "list", "--state", "discarded", "--json").json["items"]
    assert [one["id"] for one in over] == [here["id"]]
    assert root("environment", "discard", here["id"], "--json").error in {"not_found", "conflict"}
