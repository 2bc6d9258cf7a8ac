"""One tree of refusals, drawn once, and seven codes."""

from __future__ import annotations

import re

import pytest

from scoped_mcp.kernel import errors
from scoped_mcp.kernel.errors import Code, Outcome, ScopedError, outcome_of, outline
from tests.promises import promise


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\w+)", errors.__doc__ or "")
    real = [(kind.__name__, kind.code.value) for kind in ScopedError.__subclasses__()]
    assert drawn == real
    assert [code for _, code in real] == [code.value for code in Code]


@pytest.mark.parametrize("kind", ScopedError.__subclasses__())
def test_a_refusal_reads_as_one_line(kind: type[ScopedError]) -> None:
    bare = kind("it went wrong")
    assert str(bare) == f"{kind.code}: it went wrong"
    assert (bare.hint, bare.retry, bare.entry) == ("", False, None)
    full = kind("it went wrong", hint="try again", retry=True)
    assert str(full) == f"{kind.code}: it went wrong (try again)"
    assert full.retry


@promise("trail.outcomes")
def test_every_code_has_an_outcome() -> None:
    denied = {Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.DENIED, Code.LIMITED}
    for code in Code:
        assert outcome_of(code) is (Outcome.DENIED if code in denied else Outcome.FAILED)


def test_an_outline_says_what_went_wrong_where_and_quotes_nobody() -> None:
    def fails() -> None:
        try:
            int("a secret")
        except ValueError as error:
            message = "another secret"
            raise RuntimeError(message) from error

    with pytest.raises(RuntimeError) as caught:
        fails()
    said = outline(caught.value)
    assert re.findall("^[A-Z].*$", said, re.MULTILINE) == ["RuntimeError", "ValueError"]
    assert said.count(" in fails") == 2
    assert "secret" not in said


def test_an_outline_ends_where_an_error_hides_what_was_before() -> None:
    error = KeyError("a secret")
    error.__context__, error.__suppress_context__ = ValueError("hidden"), True
    assert outline(error) == "KeyError"
    error.__suppress_context__ = False
    assert outline(error) == "KeyError\nValueError"
