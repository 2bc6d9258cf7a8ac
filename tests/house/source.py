"""The source of the house, as data for the tests that hold decisions."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "scoped_mcp"
LAYERS = PACKAGE / "layers"
PARTS = ("model", "tables", "logic", "store", "operations", "worker")
ROOMS = sorted(p.name for p in LAYERS.iterdir() if (p / "__init__.py").exists())


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(PACKAGE))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def module(self) -> str:
        parts = ("scoped_mcp", *self.path.relative_to(PACKAGE).with_suffix("").parts)
        return ".".join(parts).removesuffix(".__init__")

    @property
    def room(self) -> str | None:
        """The room that the file is of."""
        parts = self.path.relative_to(PACKAGE).parts
        return parts[1] if parts[0] == "layers" and len(parts) > 2 else None

    @property
    def part(self) -> str:
        """Which part of its room the file is of: a door is `__init__`."""
        return self.path.relative_to(PACKAGE).with_suffix("").parts[2]

    def imports(self) -> Iterator[tuple[str, str, str]]:
        """Every import: module, name (or ""), and the word it is known by here."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, "", alias.asname or alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield node.module or "", alias.name, alias.asname or alias.name

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def sources(under: Path = PACKAGE) -> list[Source]:
    """Every Python file below a folder, but for schema revisions, which are history."""
    files = (f for f in sorted(under.rglob("*.py")) if f.parent.name != "versions")
    return [Source(f) for f in files]


def each(found: Iterable[Source]) -> Callable[[Callable[[Source], None]], Callable[[], None]]:
    """Ask the same of every file; what is wrong with several is told of all of them."""

    def asked(test: Callable[[Source], None]) -> Callable[[], None]:
        def of_all() -> None:
            wrong: list[AssertionError] = []
            for source in found:
                try:
                    test(source)
                except AssertionError as error:
                    error.add_note(f"in {source}")
                    wrong.append(error)
            if wrong:
                raise ExceptionGroup(test.__name__, wrong)

        of_all.__name__, of_all.__module__ = test.__name__, test.__module__
        of_all.__qualname__, of_all.__doc__ = test.__qualname__, test.__doc__
        return of_all

    return asked


def door(room: str) -> set[str]:
    """What a room shows of itself: its `__all__`."""
    return _all(Source(LAYERS / room / "__init__.py").tree)


def _all(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def configuration() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def contract(name: str) -> dict[str, Any]:
    """One import contract."""
    contracts = configuration()["tool"]["importlinter"]["contracts"]
    return next(c for c in contracts if c["id"] == name)


def rooms_named_in(text: str) -> list[str]:
    """Rooms in the order of their numbers: `1 registry · 2 identity`."""
    found = re.findall(r"\b(\d+) `?([a-z]+)`?(?= ·|\n|$|,|;|\.| \|)", text)
    numbered = {int(number): name for number, name in found if name in ROOMS}
    return [numbered[number] for number in sorted(numbered)]
