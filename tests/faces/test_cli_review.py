"""`scoped-mcp review`: what waits, with its diffs, decided on the command line."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from scoped_mcp import Scoped
from tests.faces.cli import BOUND, PROGRAM, Cli, new_house

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "\x1b[2J\x1b[31mred\u202e"


@dataclass
class Desk:
    """A reviewer's command line, and an agent that asks without one.

    Attributes:
        rita: The program as the reviewer; root owns the scope.
        bot: The agent's token.
    """

    rita: Cli
    bot: str
    channel: str

    def ask(self, data: dict[str, Any], **more: str) -> dict[str, Any]:
        made = self.call(self.bot, "object.create", type="note", data=data)
        asked = {"objects": [made["id"]], "channel": self.channel, **more}
        return self.call(self.bot, "promotion.request", **asked)

    def call(self, token: str, operation: str, **arguments: Any) -> Any:
        """Do something beside the command line."""

        async def run() -> Any:
            async with Scoped.open(f"sqlite:///{self.rita.database}") as scoped:
                return await (await scoped.session(token)).call(operation, arguments)

        return asyncio.run(run())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    root = new_house(tmp_path)
    return asyncio.run(furnished(root))


async def furnished(root: Cli) -> Desk:
    async with Scoped.open(f"sqlite:///{root.database}") as scoped:
        owner = await scoped.session(root.token or "")
        scope = (await owner.call("scope.create", {"name": "team"}))["id"]
        tokens = []
        for name, kind, role in (("rita", "user", "admin"), ("bot", "agent", "contributor")):
            asked = {"name": name, "kind": kind, "toolsets": ["all"]}
            made = await owner.call("token.issue", asked)
            place = {"scope": scope, "principal": made["principal"]["id"], "role": role}
            await owner.call("scope.add_member", place)
            tokens.append(made["token"])
        ends = {"source": {"kind": "any_environment"}, "target": {"kind": "scope", "id": scope}}
        way = ends | {"name": "in", "decide": "person"}
        channel = await owner.call("channel.create", way)
        return Desk(root.bearer(tokens[0]), tokens[1], channel["id"])


def test_what_waits_is_listed_and_nothing_else(desk: Desk) -> None:
    asked = desk.ask({"n": 1}, reason="ready")
    cells = desk.rita("review", "list").out.rstrip("\n").split("\t")
    assert cells[:6] == [asked["id"], "pending", "team", "bot", "0/1", "ready"]
    (one,) = desk.rita("review", "--json").json["items"]
    assert one["id"] == asked["id"]
    assert desk.rita.bearer(desk.bot)("review").out == ""


def test_it_is_shown_with_its_diff_its_checks_and_its_picture(desk: Desk) -> None:
    asked = desk.ask({"title": "found", "n": [1, 2]})
    lines = desk.rita("review", "show", asked["id"]).out.splitlines()
    assert lines[0] == f"{asked['id']}  pending"
    assert f"picture   {asked['picture']}" in lines
    assert '  + /title: "found"' in lines
    assert "  + /n: [1, 2]" in lines
    assert "check     secrets passed" in lines
    assert desk.rita("review", "show", asked["id"], "--json").json["picture"] == asked["picture"]


def test_a_change_is_shown_as_what_changes(desk: Desk) -> None:
    first = desk.ask({"n": 1, "gone": True})
    desk.rita("review", "approve", first["id"], "--picture", first["picture"])
    note = first["objects"][0]["object"]
    desk.call(desk.bot, "object.update", id=note, data={"n": 2, "long": "x" * 500})
    asked = desk.call(desk.bot, "promotion.request", objects=[note], channel=desk.channel)
    lines = desk.rita("review", "show", asked["id"]).out.splitlines()
    assert "  ~ /n: 2" in lines
    assert "  - /gone" in lines
    (long,) = [line for line in lines if line.startswith("  + /long")]
    assert long.endswith("… (502 characters)")


def test_it_is_approved_by_its_picture_or_after_it_was_read(desk: Desk) -> None:
    asked = desk.ask({"n": 1})
    forged = desk.rita("review", "approve", asked["id"], "--picture", "0" * 64, "--json")
    assert (forged.code, forged.error) == (1, "conflict")
    unread = desk.rita("review", "approve", asked["id"], "--json")
    assert (unread.code, unread.error) == (1, "conflict")
    desk.rita("review", "show", asked["id"])
    done = desk.rita("review", "approve", asked["id"], "--comment", "good", "--json")
    assert done.json["state"] == "applied"
    again = desk.rita("review", "approve", asked["id"])
    assert again.code == 1
    assert again.err.startswith("conflict: ")


def test_a_rejection_says_why(desk: Desk) -> None:
    asked = desk.ask({"n": 1})
    assert desk.rita("review", "reject", asked["id"]).code == 2
    done = desk.rita(
        "review", "reject", asked["id"], "--comment", "no", "--picture", asked["picture"]
    )
    assert (done.code, done.out) == (0, "")
    assert "is rejected" in done.err
    seen = desk.call(desk.bot, "promotion.get", id=asked["id"])
    assert seen["reviews"][0]["comment"] == "no"


def test_nothing_that_was_stored_steers_the_terminal(desk: Desk) -> None:
    asked = desk.ask({EVIL: EVIL})
    out = desk.rita("review", "show", asked["id"]).out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\u001b" in out


@dataclass
class Terminal:
    """A program on a terminal of its own."""

    process: subprocess.Popen[bytes]
    line: int
    heard: str = ""

    def until(self, text: str) -> str:
        """What is on the screen once this stands there, colours aside."""
        while text not in self.heard:
            ready, _, _ = select.select([self.line], [], [], BOUND)
            assert ready, self.heard
            try:
                self.heard += os.read(self.line, 65_536).decode()
            except OSError:  # the program has ended
                assert text in self.heard, self.heard
        seen, self.heard = self.heard, ""
        return re.sub(r"\x1b\[[0-9;]*m", "", seen)

    def type(self, text: str) -> None:
        os.write(self.line, f"{text}\n".encode())


def test_on_a_terminal_one_goes_through_what_waits(desk: Desk) -> None:
    titles = ["first", "second", "third", "fourth"]
    asked = [desk.ask({"title": title}) for title in titles]
    line, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(
        [*PROGRAM, "review"],
        env=desk.rita.environment | {"TERM": "xterm", "COLUMNS": "200"},
        **streams,  # type: ignore[call-overload]
    )
    os.close(theirs)
    terminal = Terminal(process, line)
    try:
        screen = terminal.until("[q]uit")
        assert '+ /title: "fourth"' in screen
        assert "1 of 4" in screen
        terminal.type("x")
        terminal.until("[q]uit")
        terminal.type("a")
        terminal.until("comment")
        terminal.type("")
        assert '"third"' in terminal.until("[q]uit")
        terminal.type("r")
        terminal.until("comment")
        terminal.type("not yet")
        assert '"second"' in terminal.until("[q]uit")
        terminal.type("s")
        assert '"first"' in terminal.until("[q]uit")
        terminal.type("q")
        assert process.wait(BOUND) == 0
    finally:
        process.kill()
        process.wait()
        os.close(line)
    states = [desk.call(desk.bot, "promotion.get", id=one["id"])["state"] for one in asked]
    assert states == ["pending", "pending", "rejected", "applied"]
