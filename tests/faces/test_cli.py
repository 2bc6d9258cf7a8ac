"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scoped_mcp.faces.cli.commands import app
from tests.faces.cli import BOUND, Cli, new_house
from tests.promises import promise

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = re.compile(r"smcp_[a-z2-7]{16}_[a-z2-7]{52}\n")
NOTE = json.dumps({"type": "note", "data": {"title": "hello"}})


@pytest.fixture
def stranger(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Cli:
    return new_house(tmp_path)


@promise("embedded.said")
def test_init_prints_the_token_alone_and_the_rest_on_standard_error(stranger: Cli) -> None:
    done = stranger("init")
    assert done.code == 0
    assert TOKEN.fullmatch(done.out)
    assert "does not promise" in done.err
    assert done.out.strip() not in done.err
    assert stat.S_IMODE(stranger.database.stat().st_mode) == 0o600


def test_init_refuses_a_database_in_use_and_leaves_it_alone(root: Cli) -> None:
    before = root.database.read_bytes()
    done = root("init", "--json")
    assert (done.code, done.error) == (1, "invalid")
    assert root.database.read_bytes() == before
    assert root("call", "whoami").json["principal"]["name"] == "root"


def test_init_names_another_database_with_an_option(stranger: Cli) -> None:
    url = f"sqlite:///{stranger.folder / 'other.db'}"
    made = stranger("init", "--db", url, "--name", "zoe", "--json").json
    assert (made["db"], made["name"]) == (url, "zoe")
    bearer = stranger.bearer(made["token"])
    assert bearer("call", "whoami", "--db", url).json["principal"]["name"] == "zoe"
    assert not stranger.database.exists()


@pytest.mark.parametrize(
    "arguments",
    [("token", "list"), ("call", "whoami"), ("audit", "log"), ("principal", "list")],
    ids=" ".join,
)
def test_without_a_token_one_clear_line_and_one(root: Cli, arguments: tuple[str, ...]) -> None:
    done = Cli(root.folder)(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("unauthenticated: SCOPED_MCP_TOKEN is not set\n")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["unauthenticated", "hint"]


def test_a_server_that_does_not_start_says_why_in_one_clear_line(root: Cli) -> None:
    for token, said in ((None, "SCOPED_MCP_TOKEN"), ("smcp_wrong", "credential")):
        done = Cli(root.folder, token)("serve")
        (line,) = done.err.splitlines()
        assert (done.code, done.out, said in line) == (1, "", True)
        assert line.startswith("unauthenticated: ")


@promise("cli.json")
@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("token", "issue"),
        ("token", "issue", "--principal", "x", "--ttl", "soon"),
        ("token", "issue", "--principal", "x", "--ttl", "0h"),
        ("call",),
        ("call", "object.create", "{"),
        ("call", "object.create", "[]"),
        ("call", "object.create", '{"a": 1, "a": 2}'),
        ("call", "object.create", "[" * 100_000),
        ("serve", "--transport", "pigeon"),
        ("serve", "--workers", "2"),
        ("serve", "--port", "70000"),
        ("audit", "log", "--since", "yesterday"),
        ("audit", "log", "--follow", "--until", "1h"),
        ("token", "list", "--limit", "0"),
        ("demo", "--input", "nowhere.md"),
        ("db", "downgrade"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_wrong_usage_is_two(stranger: Cli, arguments: tuple[str, ...]) -> None:
    done = stranger(*arguments, "--json")
    assert (done.code, done.error) == (2, "invalid")


def test_a_group_alone_shows_its_help(stranger: Cli) -> None:
    for arguments in ((), ("token",)):
        done = stranger(*arguments)
        assert done.code == 2
        assert "Commands" in done.out + done.err


def test_a_token_is_printed_alone_and_works(root: Cli) -> None:
    issued = root("token", "issue", "--principal", "helper", "--kind", "agent", "--ttl", "1d12h")
    assert (issued.code, bool(TOKEN.fullmatch(issued.out))) == (0, True)
    assert issued.out.strip() not in issued.err
    helper = root.bearer(issued.out.strip())
    me = helper("call", "whoami").json
    assert (me["principal"]["kind"], me["sponsor"]["name"]) == ("agent", "root")
    assert me["toolsets"] == ["core"]


def test_token_issue_makes_nobody_unless_a_kind_is_named(root: Cli) -> None:
    done = root("token", "issue", "--principal", "ghost", "--json")
    assert (done.code, done.error) == (1, "not_found")
    assert root("principal", "list", "--name", "ghost", "--json").json == {"items": []}


def test_token_issue_refuses_another_kind(root: Cli) -> None:
    made = root("principal", "add", "carol", "--json").json
    for named in ("carol", made["id"]):
        done = root("token", "issue", "--principal", named, "--kind", "agent", "--json")
        assert (done.code, done.error) == (1, "conflict")
    same = root("token", "issue", "--principal", made["id"], "--kind", "user", "--json").json
    assert same["principal"]["id"] == made["id"]


def test_what_a_token_may_is_what_its_options_say(root: Cli) -> None:
    limits = ("--toolsets", "core,audit", "--read-only", "--ttl", "PT10M")
    reader = root.issue("reader", "--kind", "user", *limits)
    me = reader("call", "whoami").json
    assert (me["toolsets"], me["read_only"]) == (["audit", "core"], True)
    refused = reader("call", "object.create", NOTE, "--json")
    assert (refused.code, refused.error) == (1, "not_found")


def test_token_list_says_whose_and_until_when(root: Cli) -> None:
    root.issue("helper", "--kind", "agent")
    found = root("token", "list", "--json").json
    assert {one["principal"]["name"] for one in found["items"]} == {"root", "helper"}
    assert all({"id", "expires_at", "state"} <= set(one) for one in found["items"])
    assert all(set(one["principal"]) >= {"id", "name"} for one in found["items"])
    one = root("token", "list", "--principal", "helper", "--json").json["items"]
    assert [token["principal"]["name"] for token in one] == ["helper"]
    page = root("token", "list", "--limit", "1", "--json").json
    rest = root("token", "list", "--cursor", page["next_cursor"], "--json").json
    assert page["items"] + rest["items"] == found["items"] or len(rest["items"]) == 1
    piped = root("token", "list").out.splitlines()
    assert [len(line.split("\t")) for line in piped] == [7, 7]


def test_a_revoked_token_opens_nothing(root: Cli) -> None:
    helper = root.issue("helper", "--kind", "agent")
    assert helper("call", "whoami").code == 0
    token = root("token", "list", "--principal", "helper", "--json").json["items"][0]["id"]
    assert root("token", "revoke", token, "--json").json["state"] == "revoked"
    done = helper("call", "whoami", "--json")
    assert (done.code, done.error) == (1, "unauthenticated")


def test_a_session_ends_with_its_credential(root: Cli) -> None:
    helper = root.issue("helper", "--kind", "agent")
    session = helper("call", "whoami").json["session"]["id"]
    listed = root("session", "list", "--principal", "helper", "--json").json["items"]
    assert [one["id"] for one in listed] == [session]
    assert root("session", "revoke", session).code == 0
    assert helper("call", "whoami", "--json").error == "unauthenticated"


def test_a_principal_is_suspended_and_resumed_by_name_or_id(root: Cli) -> None:
    helper = root.issue("helper", "--kind", "agent")
    made = root("principal", "list", "--name", "helper", "--json").json["items"][0]
    assert root("principal", "suspend", "helper", "--json").json["state"] == "suspended"
    assert helper("call", "whoami", "--json").error == "unauthenticated"
    assert root("principal", "resume", made["id"], "--json").json["state"] == "active"
    assert helper("call", "whoami").code == 0
    assert root("principal", "suspend", "nobody", "--json").error == "not_found"


def test_a_principal_that_is_no_admin_names_itself(root: Cli) -> None:
    carol = root.issue("carol", "--kind", "user", "--toolsets", "core,admin")
    assert carol("token", "list", "--principal", "carol", "--json").json["items"]
    assert carol("token", "list", "--principal", "root", "--json").error == "not_found"


@promise("cli.call")
def test_call_takes_json_as_an_argument_or_from_standard_input(root: Cli) -> None:
    made = root("call", "object.create", NOTE).json
    read = root("call", "object_get", "-", stdin=json.dumps({"id": made["id"]})).json
    assert read["data"] == {"title": "hello"}


def test_a_hidden_operation_and_an_absent_one_answer_alike_and_not_in_words_of_tools(
    root: Cli,
) -> None:
    helper = root.issue("helper", "--kind", "agent")
    told = [
        helper("call", name, "--json").json["error"]
        for name in ("principal.create", "principal_create", "no.such")
    ]
    for name, error in zip(("principal.create", "principal_create", "no.such"), told, strict=True):
        assert (error["code"], f"`{name}`" in error["message"]) == ("not_found", True)
        assert "tool " not in error["message"] + error["hint"]
        assert (error["hint"], error["retry"]) == (told[0]["hint"], False)


@promise("numbers.once")
def test_a_key_that_stands_twice_in_json_is_refused(root: Cli) -> None:
    for data in ('{"a": 1, "a": 2}', '{"b": [{"a": 1, "a": 1}]}'):
        done = root("call", "object.create", f'{{"type": "note", "data": {data}}}', "--json")
        assert (done.code, done.error) == (2, "invalid")


def test_a_key_makes_a_call_once(root: Cli) -> None:
    first = root("call", "object.create", NOTE, "--key", "k")
    again = root("call", "object.create", NOTE, "--key", "k")
    other = root("call", "object.create", NOTE, "--key", "k2")
    assert first.json["id"] == again.json["id"] != other.json["id"]
    changed = NOTE.replace("hello", "bye")
    assert root("call", "object.create", changed, "--key", "k", "--json").error == "conflict"


@promise("cli.json")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("object.get", '{"id": "obj_aaaaaaaaaaaaaaaa"}'), "not_found"),
        (("object.get", '{"id": "x"}'), "invalid"),
        (("object.create", '{"type": "note", "data": {"x": NaN}}'), "invalid"),
        (("nope",), "not_found"),
    ],
    ids=["absent", "malformed", "nan", "unknown"],
)
def test_a_refusal_is_one_and_told_twice(root: Cli, arguments: tuple[str, ...], code: str) -> None:
    done = root("call", *arguments, "--json")
    assert (done.code, done.error) == (1, code)
    assert done.json["error"]["entry"].startswith("ent_")
    assert done.json["error"]["hint"]


def test_text_of_others_steers_no_terminal(root: Cli) -> None:
    data = json.dumps({"type": "note", "data": {"x": "a\u202eb\u009b31m\x1b[31m"}})
    done = root("call", "object.create", data)
    assert not re.search("[\x1b\x80-\x9f\u202e]", done.out)
    assert done.json["data"] == json.loads(data)["data"]


def test_the_trail_is_filtered_and_paged(root: Cli) -> None:
    made = root("call", "object.create", NOTE).json
    helper = root.issue("helper", "--kind", "agent")
    helper("call", "object.get", json.dumps({"id": made["id"]}))
    about = root("audit", "log", "--about", made["id"], "--json").json["items"]
    assert [entry["operation"] for entry in about] == ["object.get", "object.create"]
    made_it = root("audit", "log", "--about", "helper", "--json").json["items"]
    assert [entry["operation"] for entry in made_it] == ["principal.create"]
    mine = root("audit", "log", "--principal", "helper", "--since", "1h", "--json").json["items"]
    assert {entry["outcome"] for entry in mine} == {"denied"}
    denied = root("audit", "log", "--outcome", "denied", "--limit", "1", "--json").json["items"]
    assert [entry["code"] for entry in denied] == ["not_found"]
    first = root("audit", "log", "--limit", "1", "--json").json
    second = root("audit", "log", "--limit", "1", "--cursor", first["next_cursor"], "--json").json
    assert first["items"] != second["items"]


def test_the_trail_is_followed_until_interrupted(root: Cli) -> None:
    with root.running("audit", "log", "--follow", "--limit", "1", "--json") as follower:
        assert follower.stdout is not None
        shown = [json.loads(follower.stdout.readline())]
        made = [root("call", "object.create", NOTE).json["id"] for _ in range(3)]
        shown += [json.loads(follower.stdout.readline()) for _ in range(3)]
        follower.send_signal(signal.SIGINT)
        rest = follower.stdout.read()
        assert follower.wait(BOUND) == 0
    assert [entry["target"] for entry in shown[1:]] == made
    assert rest == ""
    assert _closing(root) == {"shown": 4}


def _closing(cli: Cli, operation: str = "audit.unfollow") -> dict[str, Any]:
    """What the closing entry of the one follow says, read below the application."""
    raw = sqlite3.connect(cli.database)
    asked = "SELECT body FROM entries WHERE operation = ? AND outcome = 'done'"
    ((opened,),) = raw.execute(asked, ("audit.follow",)).fetchall()
    closing = [json.loads(body)["asked"] for (body,) in raw.execute(asked, (operation,))]
    raw.close()
    assert [one.pop("follow") for one in closing] == [json.loads(opened)["id"]]
    return dict(closing[0])


@promise("trail.follow")
def test_a_follow_is_closed_when_its_program_is_told_to_end(root: Cli) -> None:
    with root.running("audit", "log", "-f", "--limit", "2", "--json") as follower:
        assert follower.stdout is not None
        for _ in range(2):
            follower.stdout.readline()
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(BOUND) == 0
    assert _closing(root) == {"shown": 2}


@pytest.mark.slow
@promise("trail.follow", "follow.revoked")
def test_a_follow_is_closed_when_its_credential_is_revoked_meanwhile(root: Cli) -> None:
    helper = root.issue("helper", "--kind", "agent")
    with helper.running("audit", "log", "-f", "--json") as follower:
        assert follower.stdout is not None
        follower.stdout.readline()
        root("principal", "suspend", "helper")
        assert follower.wait(BOUND) == 1
    assert _closing(root, "audit.end")["because"] == "revoked"


@pytest.mark.slow
@promise("follow.idle")
def test_a_follow_whose_program_was_killed_is_closed_by_the_server(root: Cli) -> None:
    limits = {"SCOPED_MCP_LIMITS": '{"follow_seconds": 1}'}
    with root.running("audit", "log", "-f", "--limit", "1", "--json") as follower:
        assert follower.stdout is not None
        follower.stdout.readline()
        follower.kill()
        follower.wait(BOUND)
    with root.running("serve", "--transport", "http", "--port", "0", **limits):
        ended: list[Any] = []
        while not ended:
            log = ("audit", "log", "--operation", "audit.end", "--json")
            ended = root(*log).json["items"]
    assert _closing(root, "audit.end") == {"because": "idle", "shown": 1}


def test_a_whole_trail_verifies(root: Cli) -> None:
    root("call", "object.create", NOTE)
    found = root("audit", "verify", "--json")
    assert (found.code, found.json["ok"]) == (0, True)
    assert root("audit", "verify", "--from", "2", "--to", "3", "--json").json["ok"]
    helper = root.issue("helper", "--kind", "agent", "--toolsets", "core,audit")
    assert helper("audit", "verify", "--json").error == "denied"


@promise("readme.verify")
def test_tampering_is_found_and_named(root: Cli) -> None:
    root("call", "object.get", '{"id": "obj_aaaaaaaaaaaaaaaa"}')
    hidden = root("audit", "log", "--outcome", "denied", "--json").json["items"][0]["id"]
    raw = sqlite3.connect(root.database)
    raw.execute("DROP TRIGGER guard_entries_update")
    raw.execute("UPDATE entries SET outcome = 'done' WHERE public_id = ?", (hidden,))
    raw.commit()
    raw.close()
    found = root("audit", "verify", "--json")
    assert found.code == 1
    assert (found.json["ok"], found.json["problem"]["entry"]) == (False, hidden)
    plain = root("audit", "verify")
    assert (plain.code, hidden in plain.out) == (1, True)


def test_the_schema_is_told_and_never_goes_below_the_first(root: Cli) -> None:
    told = root("db", "current", "--json").json
    assert told["current"] == told["head"]
    assert root("db", "upgrade", "--json").json == told
    assert root("db", "downgrade", told["head"], "--json").json == told
    assert root("db", "downgrade", "base", "--json").error == "conflict"
    assert root("call", "whoami").code == 0


def test_where_there_is_no_database_it_says_so(stranger: Cli) -> None:
    nobody = stranger.bearer("smcp_x")
    for arguments in (("db", "current"), ("token", "list"), ("recover", "root")):
        done = nobody(*arguments, "--json")
        assert (done.code, done.error) == (1, "invalid")
    assert nobody("serve", "--transport", "http", "--port", "0", "--json").error == "invalid"
    assert list(stranger.folder.iterdir()) == []


@promise("identity.break_glass")
def test_recover_ends_every_credential_and_prints_a_new_one(root: Cli) -> None:
    done = root("recover", "root")
    assert (done.code, bool(TOKEN.fullmatch(done.out))) == (0, True)
    assert root("call", "whoami", "--json").error == "unauthenticated"
    me = root.bearer(done.out.strip())("call", "whoami").json
    assert (me["principal"]["name"], "recovered" in me) == ("root", True)
    assert root("recover", "nobody", "--json").error == "not_found"


def test_nothing_but_the_answer_is_written(root: Cli) -> None:
    for arguments in (
        ("call", "whoami"),
        ("token", "list"),
        ("audit", "verify"),
        ("db", "current"),
    ):
        done = root(*arguments)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("limits", ["{", '{"bulks": 5}', '{"bulk": 0}', '{"bulk": "many"}'])
def test_a_broken_setting_is_named(root: Cli, limits: str) -> None:
    done = Cli(root.folder, root.token, {"SCOPED_MCP_LIMITS": limits})("call", "whoami", "--json")
    assert (done.code, done.error) == (1, "invalid")
    assert "SCOPED_MCP_LIMITS" in done.json["error"]["hint"]


def test_an_empty_key_makes_no_call(root: Cli) -> None:
    asked = ("object.create", '{"type":"note","data":{}}', "--key", "")
    assert root("call", *asked, "--json").error == "invalid"
    assert root("call", "object.list").json["items"] == []


def test_a_help_says_what_is_so_where_nothing_is_given() -> None:
    """A default in square brackets is taken for a style by Rich, and never seen."""
    for command, says in (
        ("token issue", "core if not"),
        ("init", "login name"),
        ("demo", "README"),
    ):
        told = CliRunner().invoke(app, [*command.split(), "--help"]).output
        assert says in " ".join(told.replace("│", " ").split()), command


@promise("cli.json")
def test_every_command_takes_json_and_teaches() -> None:
    groups = {
        "init": "", "demo": "", "serve": "", "call": "", "recover": "", "backup": "", "restore": "",
        "token": "issue list revoke", "principal": "add list suspend resume",
        "session": "list revoke", "audit": "log verify", "db": "upgrade downgrade current",
        "org": "create list suspend resume move issuer upgrade",
    }  # fmt: skip
    for group, commands in groups.items():
        for command in commands.split() or [""]:
            done = CliRunner().invoke(app, [group, *filter(None, [command]), "--help"])
            assert done.exit_code == 0
            assert "--json" in done.output
