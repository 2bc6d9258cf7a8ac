"""`review`: what waits for a decision, with its diffs, one after the other."""

from __future__ import annotations

import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json
from scoped_mcp.kernel.errors import ScopedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoped_mcp.app import Session

app = typer.Typer(help="Review promotions: what waits, what it would change, approve or reject.")
COLUMNS = {
    "id": "id",
    "state": "state",
    "into": "audience.name",
    "asked by": "asker.name",
    "approvals": "approvals",
    "reason": "reason",
    "expires": "expires_at",
}
STYLES = {"add": ("+", "green"), "remove": ("-", "red"), "replace": ("~", "yellow")}
LONGEST = 200
"""Characters of one changed value that a line shows; `--json` has it whole."""
Line = tuple[str, str]
"""What is printed, and its style."""
Which = Annotated[str, typer.Argument(metavar="ID", help="Which promotion.", show_default=False)]
Picture = Annotated[
    str | None,
    typer.Option(
        help="What `review show` named: the decision is about exactly that. Default: what you read"
        " last.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def review(
    context: typer.Context,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Go through what waits for your decision; in a pipe or with --json: list it."""
    if context.invoked_subcommand is not None:
        return
    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        list_(db=db, json=json)
    else:
        acting.act(db, _go_through)


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="All in this state, not only what waits for you.")
    ] = None,
    limit: Count = 100,
    cursor: Cursor = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """List what waits for your decision, newest first."""
    asked = {"role": "to_review"} if state is None else {"state": state}
    found = acting.page(db, "promotion.list", asked, limit, cursor)
    if not json:
        found["items"] = [one | {"approvals": _approvals(one)} for one in found["items"]]
    show.page(found, COLUMNS, in_json=json)


@app.command("show")
def show_(promotion: Which, db: Db = None, *, json: Json = False) -> None:
    """Show what would become visible to whom: diffs, checks, who asked; and its picture."""
    found = acting.call(db, "promotion.get", {"id": promotion})
    if json:
        show.as_json(found)
    else:
        _print(found)


@app.command()
def approve(
    promotion: Which,
    picture: Picture = None,
    comment: Annotated[str | None, typer.Option(help="What to say about it.")] = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Approve a promotion that you have read; the last approval publishes it."""
    _decide(db, promotion, "approve", picture, comment, in_json=json)


@app.command()
def reject(
    promotion: Which,
    comment: Annotated[str, typer.Option(help="What to do better.", show_default=False)],
    picture: Picture = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Reject a promotion that you have read, and say why."""
    _decide(db, promotion, "reject", picture, comment, in_json=json)


def _decide(  # noqa: PLR0913 - a decision names everything
    db: str | None,
    promotion: str,
    decision: str,
    picture: str | None,
    comment: str | None,
    *,
    in_json: bool,
) -> None:
    asked = {"id": promotion, "decision": decision, "picture": picture, "comment": comment}
    done = acting.call(db, "promotion.review", asked)
    if in_json:
        show.as_json(done)
    else:
        show.note(_outcome(done))


async def _go_through(session: Session) -> None:
    """One after the other, each as it is when its turn comes."""
    filters = {"role": "to_review"}
    waiting = (await acting.listed(session, "promotion.list", filters, 1_000, None))["items"]
    if not waiting:
        show.note("nothing waits for you")
    for number, one in enumerate(waiting, 1):
        found = await session.call("promotion.get", {"id": one["id"]})
        _print(found, f"{number} of {len(waiting)}")
        answer = _ask("[a]pprove  [r]eject  [s]kip  [q]uit", {"a", "r", "s", "q"})
        if answer == "q":
            return
        if answer != "s":
            await _answered(session, found, "approve" if answer == "a" else "reject")


async def _answered(session: Session, found: dict[str, Any], decision: str) -> None:
    """Send one decision, about the picture that was on the screen."""
    comment = typer.prompt("comment", default="", show_default=False, err=True).strip()
    asked = {"id": found["id"], "decision": decision, "picture": found["picture"]}
    asked |= {"comment": comment} if comment else {}
    try:
        done = await session.call("promotion.review", asked)
    except ScopedError as error:  # the next one may still be decided
        show.refusal(error, in_json=False)
    else:
        show.note(_outcome(done))


def _ask(question: str, answers: set[str]) -> str:
    while True:
        given = str(typer.prompt(question, err=True)).strip().lower()[:1]
        if given in answers:
            return given


def _outcome(done: dict[str, Any]) -> str:
    if done["state"] == "pending":
        return f"{done['id']} has {_approvals(done)} approvals"
    return f"{done['id']} is {done['state']}"


def _approvals(one: dict[str, Any]) -> str:
    given = sum(each["decision"] == "approve" for each in one["reviews"])
    return f"{given}/{one['needed']}"


def _print(found: dict[str, Any], place: str = "") -> None:
    """A promotion as lines: in colour on a terminal, plain in a pipe; nothing in it is obeyed."""
    console = Console(highlight=False, soft_wrap=True)
    for text, style in _lines(found, place):
        console.print(Text(show.plain(text), style=style))


def _lines(found: dict[str, Any], place: str) -> Iterator[Line]:
    where = found["audience"]
    yield f"{found['id']}  {found['state']}  {place}".rstrip(), "bold"
    yield f"into      {where['kind']} {where.get('name', '')} {where.get('id', '')}".rstrip(), ""
    yield f"asked by  {_asker(found)}", ""
    if found.get("reason"):
        yield f"reason    {found['reason']}", ""
    yield f"approvals {_approvals(found)}, expires {found['expires_at']}", ""
    for check in found["checks"]:
        failed = check["outcome"] == "failed"
        detail = f": {check['detail']}" if failed else ""
        yield f"check     {check['name']} {check['outcome']}{detail}", "red" if failed else "dim"
    for one in found["reviews"]:
        said = f": {one['comment']}" if one.get("comment") else ""
        yield f"review    {one['decision']} by {one['reviewer']}{said}", ""
    yield f"picture   {found['picture']}", "dim"
    for item in found["objects"]:
        yield from _item(item)


def _asker(found: dict[str, Any]) -> str:
    asker = found["asker"]
    above = "".join(f" for {one}" for one in asker.get("sponsors", []))
    client = f" with {asker['client']}" if asker.get("client") else ""
    return f"{asker.get('name', '')} ({asker.get('kind', '')}) {found['requester']}{above}{client}"


def _item(item: dict[str, Any]) -> Iterator[Line]:
    """One object: what it is, what it becomes, and what changes line by line."""
    named = f'"{item["name"]}" ' if item.get("name") else ""
    published = f" {item['published']}" if item.get("published") else ""
    source = f"{item.get('object', 'an object')}@{item['version']}"
    size = f", {item['size']} bytes" if "size" in item else ""
    yield "", ""
    yield f"{item.get('type', '')} {named}{source} → {item['becomes']}{published}{size}", "bold"
    for one in item.get("lineage", []):
        yield f"  forked from {one.get('object', 'what you cannot see')}", "dim"
    for change in item.get("diff", []):
        yield _change(change)
    for one in item.get("conflicts", []):
        sides = ", ".join(f"{side} {_short(one.get(side))}" for side in ("base", "ours", "theirs"))
        yield f"  ! {one['path']}: {sides}", "red"


def _change(change: dict[str, Any]) -> Line:
    """One operation of RFC 6902."""
    mark, style = STYLES.get(change["op"], ("~", "yellow"))
    if "from" in change:
        return f"  {mark} {change['path']}: {change['op']} from {change['from']}", style
    value = f": {_short(change['value'])}" if "value" in change else ""
    return f"  {mark} {change['path'] or '/'}{value}", style


def _short(value: object) -> str:
    text = json_format.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
