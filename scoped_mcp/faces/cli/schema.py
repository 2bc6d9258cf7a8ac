"""`db`: the schema of the database; these commands need the database, not a token."""

from __future__ import annotations

from typing import Annotated

import typer

from scoped_mcp.app import Place, place_of
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.storage import revisions

app = typer.Typer(help="Look at and move the schema of the database.", no_args_is_help=True)


@app.command()
def current(db: Db = None, *, json: Json = False) -> None:
    """Print the revision of the database, and the one that this program needs."""
    _tell(place_of(settings(db).db), in_json=json)


@app.command()
def upgrade(db: Db = None, *, json: Json = False) -> None:
    """Bring the database to the newest schema; every process that has it open must stop first."""
    place = place_of(settings(db).db)
    place.upgrade()
    _tell(place, in_json=json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="To which revision.", show_default=False)],
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Bring the database back to an earlier schema; the trail is never dropped."""
    place = place_of(settings(db).db)
    place.downgrade(revision)
    _tell(place, in_json=json)


def _tell(place: Place, *, in_json: bool) -> None:
    now = place.current()
    if in_json:
        show.as_json({"current": now, "head": revisions.HEAD})
    else:
        show.line(now or "none")
        if now != revisions.HEAD:
            show.note(f"this program needs {revisions.HEAD}: run `scoped-mcp db upgrade`")
