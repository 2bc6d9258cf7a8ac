"""A real text and its sections: the project's README, or a file of the user's."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InvalidError

if TYPE_CHECKING:
    from pathlib import Path

DISTRIBUTION = "scoped-mcp-server"
ENOUGH = 6  # sections that the story needs
MOST = 60
LONGEST_NAME = 120
_HEADING = re.compile(r"#{1,6}\s+(.*)")


@dataclass(frozen=True)
class Section:
    """A part of a document under its heading; its name is unique in the document."""

    name: str
    text: str


def read(source: Path | None) -> str:
    """The text of a file; without one the README that was installed, or a text of the package.

    Raises:
        InvalidError: the file is not text, or too short to tell a story with.
    """
    if source is None:
        installed = _readme()
        if len(sections(installed)) >= ENOUGH:
            return installed
        shipped = importlib.resources.files(__package__ or "") / "document.md"
        return shipped.read_text(encoding="utf-8")
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        message = f"`{source}` is not UTF-8 text"
        raise InvalidError(message, hint="name a Markdown or text file") from None
    if len(sections(text)) < ENOUGH:
        message = f"`{source}` has fewer than {ENOUGH} sections or paragraphs"
        raise InvalidError(message, hint="name a longer document")
    return text


def _readme() -> str:
    try:
        found = importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ""
    return str(found.json.get("description", ""))


def sections(text: str) -> list[Section]:
    """Cut at headings (not within code), or at empty lines where there are too few headings."""
    parts = _by_heading(text)
    if len(parts) < ENOUGH:
        parts = [(part.split("\n")[0], part) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return [
        Section(f"{number:02} {_printable(heading)}"[:LONGEST_NAME].strip(), _printable(body))
        for number, (heading, body) in enumerate(parts[:MOST], 1)
    ]


def _by_heading(text: str) -> list[tuple[str, str]]:
    parts: list[tuple[str, list[str]]] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        heading = None if fenced else _HEADING.match(line)
        if heading is not None:
            parts.append((heading[1], []))
        elif parts:
            parts[-1][1].append(line)
    return [(heading, "\n".join(lines).strip()) for heading, lines in parts]


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c == "\n").strip()
