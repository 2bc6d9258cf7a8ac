"""Which revisions of the schema this code knows (Alembic), whatever the engine."""

from __future__ import annotations

import importlib.resources
from importlib.metadata import version

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError
from scoped_mcp.kernel.text import quote

HEAD = "0008"
"""The revision that this code reads and writes."""
up, down = command.upgrade, command.downgrade


def known() -> list[str]:
    """Every revision, the first first."""
    return sorted(script.revision for script in scripts().walk_revisions())


def require_known(revision: str) -> None:
    """Refuse a revision that nobody wrote.

    Raises:
        InvalidError: there is none of that name.
    """
    if revision not in known():
        message = f"there is no revision {quote(revision)}"
        raise InvalidError(message, hint=f"name one of {', '.join(known())}")


def require_above_base(revision: str) -> None:
    """Refuse to go below the first revision.

    Raises:
        ConflictError: that is what was asked.
    """
    if revision == "base":
        message = "there is nothing below the first revision: the trail is never dropped"
        raise ConflictError(message, hint=f"name one of {', '.join(known())}")


def require_readable(revision: str | None, made_by: int) -> None:
    """Refuse to move a database that newer code has moved on.

    Raises:
        InvalidError: its revision is not known here; the hint says what to install.
    """
    if revision is not None and revision not in known():
        message = f"the database has schema `{revision}`, which this code does not know"
        raise InvalidError(message, hint=_install(made_by))


def not_ours() -> InvalidError:
    """The refusal to make our tables among those of another program."""
    message = "that is the database of another program"
    return InvalidError(message, hint="name another with --db, or make one with `scoped-mcp init`")


def another(revision: str | None, made_by: int | None) -> InternalError:
    """The refusal to work on another revision than `HEAD`."""
    message = f"the database has schema `{revision}`, this code needs `{HEAD}`"
    hint = "run `scoped-mcp db upgrade`" if revision in known() else _install(made_by or 0)
    return InternalError(message, hint=hint)


def no_way(revision: str) -> InvalidError:
    """The refusal to go where no revision leads."""
    message = f"there is no way from the database's revision to {quote(revision)}"
    return InvalidError(message, hint=f"known: {', '.join(known())}")


def _install(made_by: int) -> str:
    """Which version to install: migrations leave theirs behind."""
    if made_by <= number():
        return "install the version of scoped-mcp that made it"
    major, minor, patch = made_by // 10**6, made_by // 10**3 % 10**3, made_by % 10**3
    return f"install scoped-mcp {major}.{minor}.{patch} or newer"


def number() -> int:
    """This code's version as one number."""
    major, minor, patch = (int(part) for part in version("scoped-mcp-server").split(".")[:3])
    return major * 10**6 + minor * 10**3 + patch


def config() -> Config:
    """Alembic's, without the connection."""
    found = Config()
    folder = importlib.resources.files("scoped_mcp.storage") / "migrations"
    found.set_main_option("script_location", str(folder).replace("%", "%%"))
    return found


def scripts() -> ScriptDirectory:
    """The revisions as Alembic reads them."""
    return ScriptDirectory.from_config(config())
