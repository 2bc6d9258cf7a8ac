"""One tree of refusals; drivers' words stay in storage; faces map codes."""

from __future__ import annotations

import ast

from scoped_mcp.kernel import errors
from scoped_mcp.kernel.errors import Code, ScopedError
from tests.house.source import Source, each, sources
from tests.promises import promise

LEAVES = {kind.__name__ for kind in ScopedError.__subclasses__()}
DRIVERS = {"DBAPIError", "IntegrityError", "OperationalError", "SQLAlchemyError"}
BUGS = {"TypeError", "ValueError", "RuntimeError", "AssertionError", "NotImplementedError"}


def test_the_tree_is_flat_and_closed() -> None:
    assert len(LEAVES) == len(Code)
    assert all(not kind.__subclasses__() for kind in ScopedError.__subclasses__())
    assert set(vars(errors)) >= LEAVES


@each(sources())
def test_no_other_class_is_a_refusal(source: Source) -> None:
    if str(source) == "kernel/errors.py":
        return
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            assert not bases & (LEAVES | {"ScopedError"}), node.name


@each(sources())
def test_only_storage_knows_a_driver_s_errors(source: Source) -> None:
    if str(source).startswith("storage"):
        return
    names = {name for _, name, _ in source.imports()}
    assert not names & DRIVERS


@promise("spine.final")
@each([s for s in sources() if str(s).startswith("layers")])
def test_handlers_raise_refusals_or_bugs_and_catch_neither(source: Source) -> None:
    own = {node.name for node in source.nodes if isinstance(node, ast.ClassDef)}
    for node in source.nodes:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            known = name in LEAVES | BUGS | own or name[0].islower() or name.startswith("_")
            assert known, f"{source}:{node.lineno} raises {name}"
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert not caught & (LEAVES | {"ScopedError"}), f"{source}:{node.lineno} (ruling 14)"
