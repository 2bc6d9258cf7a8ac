"""`backup` and `restore`: the operator's, with the database at hand instead of a token."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from scoped_mcp.app import Restored, Scoped, place_of
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings
from scoped_mcp.faces.cli.options import Db, Json

if TYPE_CHECKING:
    from collections.abc import Callable

NEXT = """\
every credential in it is dead, and enrolment is open again. Recover the first owner, who issues for
the users, they for their agents:

    scoped-mcp recover {owner} --db {db}"""
File = Annotated[Path, typer.Argument(help="The backup: a new file.", show_default=False)]


def backup(file: File, db: Db = None, *, json: Json = False) -> None:
    """Copy the database to FILE as it is at this moment, while servers go on writing.

    FILE is a database by itself, readable by you alone; an existing one is never overwritten, and a
    backup that fails leaves nothing. It holds everything but the key file beside the database: all
    content and salts, the whole trail, credentials as salted hashes. Keep it as you keep the
    database. It also prints the head of the trail: noted elsewhere, it tells an edited copy from
    this one.

    The key file is not needed to restore: without it earlier cursors end, and digests of arguments
    in the trail can no longer be compared with what a caller says it sent.

    For a PostgreSQL database use pg_dump; scoped_mcp/docs/backup.md says how.
    """
    read = settings(db)
    with _shown("copying") as progress:
        made = Scoped.back_up(read.db, file.absolute(), progress)
    if json:
        show.as_json({"file": str(file), **asdict(made)})
    else:
        show.line(f"{file}: {made.seq} entries; the head is {made.head}")


def restore(
    file: Annotated[
        Path | None, typer.Argument(help="The backup. It stays as it is.", show_default=False)
    ] = None,
    db: Db = None,
    *,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="No FILE: the copy stands at --db already (pg_restore, Litestream, a disk image).",
        ),
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="What `backup` printed: refuse a copy whose trail ends otherwise.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make the database at --db out of the backup FILE: nothing may be there yet.

    The copy is verified before anybody can use it: its pages, schema and guards, then all that
    `audit verify` recomputes. A backup that is cut short or was tampered with is refused with what
    is wrong, and nothing is left behind. One of an older version is brought to this one's schema.

    A restored database has a new epoch: every credential in it is dead, of users, agents, delegates
    and external identities alike, because the one it was copied from may still be running. The
    first entry of the epoch names the head of the trail that it goes on from. Then `recover` the
    first owner, who issues for the users, they for their agents.
    """
    if (file is None) is not in_place:
        message = "name a backup, or say --in-place where the copy is at --db already"
        raise typer.BadParameter(message)
    read = settings(db)

    async def work() -> Restored:
        if file is None:
            begun = Scoped.begin_epoch(read.db, head=head, settings=read)
        else:
            begun = Scoped.restore(read.db, file.absolute(), head=head, settings=read)
        return await show.patiently(begun, "restoring and verifying")

    made = asyncio.run(work())
    where = place_of(read.db).url
    if json:
        show.as_json({"db": where, **asdict(made)})
        return
    show.line(f"epoch {made.epoch}: continues from entry {made.seq}; its hash is {made.head}")
    owner = shlex.quote(show.plain(made.owners[0])) if made.owners else "NAME"
    show.note(NEXT.format(owner=owner, db=shlex.quote(show.plain(where))))


@contextlib.contextmanager
def _shown(what: str) -> Generator[Callable[[int, int], None] | None]:
    """A bar on a terminal, from the second on that the work takes longer than."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=None)
    begun = time.monotonic()

    def told(done: int, total: int) -> None:
        if time.monotonic() - begun > show.SLOW_SECONDS:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield told
    finally:
        bar.stop()
