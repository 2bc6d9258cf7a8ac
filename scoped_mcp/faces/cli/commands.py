"""Every command by its name, and the one place where failures become exit codes."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import traceback
import warnings
from typing import Annotated

import typer

import scoped_mcp
from scoped_mcp.faces.cli import (
    calling,
    copies,
    demo,
    environments,
    founding,
    organisations,
    principals,
    reviews,
    schema,
    serving,
    sessions,
    show,
    tokens,
    trail,
)
from scoped_mcp.kernel.errors import InternalError, InvalidError, ScopedError

DONE, FAILED, USAGE = 0, 1, 2

app = typer.Typer(
    name="scoped-mcp",
    help="Where people and agents work isolated, share on purpose, and leave a trail."
    " Start with `init`, or see it all in `demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(founding.init)
app.command()(demo.demo)
app.command()(serving.serve)
app.add_typer(tokens.app, name="token")
app.add_typer(principals.app, name="principal")
app.add_typer(sessions.app, name="session")
app.add_typer(environments.app, name="environment")
app.add_typer(reviews.app, name="review")
app.command()(calling.call)
app.add_typer(trail.app, name="audit")
app.add_typer(schema.app, name="db")
app.add_typer(organisations.app, name="org")
app.command()(founding.recover)
app.command()(copies.backup)
app.command()(copies.restore)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's way
    if asked:
        show.line(scoped_mcp.__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one command and exit: 0 done, 1 refused or failed, 2 wrong usage."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding ends nothing
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one answer a trouble
    """Run one command; its exit code."""
    in_json = "--json" in arguments
    serving = arguments[:1] == ["serve"]  # clients show one line of why a server did not start
    try:
        code = app(args=arguments, prog_name="scoped-mcp", standalone_mode=False)
    except ScopedError as error:
        return _refused(error, in_json=in_json, in_one=serving)
    except typer.TyperException as error:
        return _wrong_usage(error, in_json=in_json)
    except (typer.Abort, KeyboardInterrupt, asyncio.CancelledError):
        return FAILED
    except BrokenPipeError:  # nobody reads on: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        message = f"`{error.filename}`: {(error.strerror or str(error)).lower()}"
        return _refused(InvalidError(message, hint="name another file"), in_json=in_json)
    except Exception as error:  # noqa: BLE001 - a face answers for everything
        return _unexpected(error, in_json=in_json)
    return code if isinstance(code, int) else DONE


def _refused(error: ScopedError, *, in_json: bool, in_one: bool = False) -> int:
    show.refusal(error, in_json=in_json, in_one=in_one)
    return FAILED


def _wrong_usage(error: typer.TyperException, *, in_json: bool) -> int:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "scoped-mcp")
    if type(error).__name__ == "NoArgsIsHelpError":
        show.note(error.format_message())
        return USAGE
    message = error.format_message().removeprefix("Invalid value: ").rstrip(".")
    wrong = InvalidError(message[:1].lower() + message[1:], hint=f"{path} --help")
    show.refusal(wrong, in_json=in_json)
    return USAGE


def _unexpected(error: Exception, *, in_json: bool) -> int:
    if os.environ.get("SCOPED_MCP_DEBUG"):
        traceback.print_exception(error)
    hint = "set SCOPED_MCP_DEBUG=1 to see where, and tell the maintainers"
    message = f"something unexpected happened: {type(error).__name__}"
    return _refused(InternalError(message, hint=hint), in_json=in_json)
