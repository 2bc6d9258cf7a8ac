"""Decisions about code that no linter knows."""

from __future__ import annotations

import ast
import re

from tests.house.source import LAYERS, PACKAGE, Source, each, sources

FILE_LINES = 400
FUNCTION_LINES = 60
ALL = sources()
CORE = [s for s in ALL if not str(s).startswith("faces")]
INSIDE = [s for s in ALL if str(s).startswith(("layers", "spine", "extensions"))]
WORDS = {"utils", "helpers", "common", "base", "manager", "service", "data", "info"}
CATCHERS = ("faces/", "spine/run.py", "storage/sqlite.py")
CHANCE = {"secrets", "random", "uuid", "time"}


@each(ALL)
def test_a_file_fits_in_a_head(source: Source) -> None:
    assert len(source.text.splitlines()) < FILE_LINES


@each(ALL)
def test_a_function_fits_on_a_screen(source: Source) -> None:
    for function in source.functions():
        first = function.body[1] if ast.get_docstring(function) and function.body[1:] else None
        start = (first or function).lineno
        assert (function.end_lineno or 0) - start < FUNCTION_LINES, function.name


@each(ALL)
def test_names_say_what_a_thing_is(source: Source) -> None:
    assert source.path.stem not in WORDS
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            last = re.findall("[A-Z][a-z]+", node.name)[-1:]
            assert not {word.lower() for word in last} & WORDS, node.name


@each(ALL)
def test_a_file_says_what_it_is_for(source: Source) -> None:
    assert ast.get_docstring(source.tree)


@each(ALL)
def test_nobody_catches_everything(source: Source) -> None:
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "everything" if node.type is None else ast.unparse(node.type)
        body = [n for n in node.body if not isinstance(n, ast.Expr) or not _is_text(n)]
        assert not all(isinstance(n, ast.Pass | ast.Continue) for n in body), (
            f"{source}:{node.lineno} swallows {caught}"
        )
        wide = caught == "everything" or re.search(r"\b(Base)?Exception\b", caught)
        if not wide:
            continue
        raises = isinstance(node.body[-1], ast.Raise) and "BaseException" in caught
        allowed = str(source).startswith(CATCHERS) or source.path.stem == "worker"
        assert allowed or raises, f"{source}:{node.lineno} catches {caught}"


@each(CORE)
def test_nobody_suppresses_everything(source: Source) -> None:
    for node in source.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            assert "Exception" not in {ast.unparse(a) for a in node.args}, node.lineno


def _is_text(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Constant)


@each(INSIDE)
def test_time_and_chance_are_handed_in(source: Source) -> None:
    imported = {module.partition(".")[0] for module, _, _ in source.imports()}
    assert not imported & CHANCE
    for node in source.nodes:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not re.search(r"\b(datetime|date)\.(now|today|utcnow)$", called), node.lineno
            assert called not in {"os.urandom", "print", "open"}, node.lineno


@each([s for s in INSIDE if str(s).startswith(("layers", "extensions"))])
def test_handlers_are_plain_functions(source: Source) -> None:
    if source.room is not None and source.part == "worker":
        return
    for function in source.functions():
        if isinstance(function, ast.AsyncFunctionDef):
            declared = any("handles" in ast.unparse(d) for d in function.decorator_list)
            arguments = {argument.arg for argument in function.args.args}
            assert not declared, function.name
            assert not arguments & {"tx", "conn"}, function.name


@each(sources(LAYERS))
def test_rooms_never_touch_a_transaction_s_inside(source: Source) -> None:
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            assert node.attr != "_context", node.lineno
            assert node.attr not in {"savepoint", "release", "rollback", "commit"}, node.lineno


@each(ALL)
def test_every_exemption_has_a_reason(source: Source) -> None:
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"#\s*noqa", line):
            assert re.search(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* +- \w", line), f"{source}:{number}"
        if re.search(r"#\s*type:\s*ignore", line):
            assert re.search(r"# type: ignore\[[\w-]+\]", line), f"{source}:{number}"
        if re.search(r"#\s*pyright:\s*ignore", line):
            assert re.search(r"# pyright: ignore\[\w+(, \w+)*\]", line), f"{source}:{number}"


@each(ALL)
def test_refusals_are_written_alike(source: Source) -> None:
    """Lower case, no full stop, no Python names; code may open with a backtick."""
    for node in source.nodes:
        if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "message":
            continue
        parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
        first, last = parts[0], parts[-1]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            opening = first.value[:1]
            assert not opening.isupper() or first.value[:2].isupper(), first.value
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            assert not last.value.endswith("."), last.value


def test_the_package_is_typed_for_those_who_use_it() -> None:
    assert (PACKAGE / "py.typed").exists()
