"""`db`: the schema of the database file; these commands need the file, not a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scoped_mcp.app import sqlite_path
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage import schema

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(help="Look at and move the schema of the database.", no_args_is_help=True)


@app.command()
def current(db: Db = None, *, json: Json = False) -> None:
    """Print the revision of the database, and the one that this program needs."""
    path = _existing(db)
    _tell(path, in_json=json)


@app.command()
def upgrade(db: Db = None, *, json: Json = False) -> None:
    """Bring the database to the newest schema; every process that has it open must stop first."""
    path = _existing(db)
    schema.upgrade(path)
    _tell(path, in_json=json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="To which revision.", show_default=False)],
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Bring the database back to an earlier schema; the trail is never dropped."""
    path = _existing(db)
    schema.downgrade(path, revision)
    _tell(path, in_json=json)


def _existing(db: str | None) -> Path:
    path = sqlite_path(settings(db).db)
    if not path.is_file():
        message = f"there is no database at `{path}`"
        raise InvalidError(message, hint="create one with `scoped-mcp init`")
    return path


def _tell(path: Path, *, in_json: bool) -> None:
    now = schema.current(path)
    if in_json:
        show.as_json({"current": now, "head": schema.HEAD})
    else:
        show.line(now or "none")
        if now != schema.HEAD:
            show.note(f"this program needs {schema.HEAD}: run `scoped-mcp db upgrade`")
