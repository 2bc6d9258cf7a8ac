"""Text that people and models read holds nothing that hides, turns or opens."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.text import TOKEN, Name, Note, quote, require_name
from tests.promises import promise

name = TypeAdapter(Name)
note = TypeAdapter(Note)
SECRET = "smcp_" + "a" * 16 + "_" + "b" * 52

HIDING = [
    "\u202e",
    "\u2066",
    "\u200e",
    "\u061c",
    "\u200b",
    "\ufeff",
    "\x1b",
    "\x00",
    "\u2028",
    "\n",
]


@pytest.mark.parametrize(
    "good", ["x", "Ada's notes", "日本語", "👩\u200d🚀", "می\u200cخواهم", "a" * 200]
)
def test_names_of_all_scripts_are_names(good: str) -> None:
    assert name.validate_python(good) == good


@promise("objects.names")
@pytest.mark.parametrize("hidden", HIDING)
def test_a_name_hides_nothing(hidden: str) -> None:
    with pytest.raises(ValidationError):
        name.validate_python(f"a{hidden}b")


@pytest.mark.parametrize("bad", ["", " ", "\u3000", "a" * 201, "\ud800", "\ue000", "\u0378"])
def test_a_name_is_one_readable_line(bad: str) -> None:
    with pytest.raises(ValidationError):
        name.validate_python(bad)


@given(st.text(max_size=40))
def test_what_is_accepted_as_a_name_prints(text: str) -> None:
    try:
        accepted = name.validate_python(text)
    except ValidationError:
        return
    assert accepted == text
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_a_note_may_have_lines() -> None:
    assert note.validate_python("one\n\ttwo") == "one\n\ttwo"
    assert note.validate_python("") == ""


@pytest.mark.parametrize("bad", ["a\u202eb", "a\u2067b", "\x1b[2J", "a\rb", "a\x00b", "a" * 2_001])
def test_a_note_turns_nothing_around(bad: str) -> None:
    with pytest.raises(ValidationError):
        note.validate_python(bad)


@given(st.text() | st.text("ab`\\\n\u202e…").map(lambda t: t * 20))
@example("`" * 70)
@example("\U0001f600" * 64)
def test_a_quotation_is_short_plain_and_stays_in_its_backticks(text: str) -> None:
    quoted = quote(text)
    inner = quoted[1:-1]
    assert quoted[0] == quoted[-1] == "`"
    assert len(inner) <= 64
    assert "`" not in inner
    assert inner.isascii()
    assert inner.isprintable() or not inner


@given(st.text(max_size=80), st.text(max_size=80))
@example("", "")
@example("smcp_", "")
@example("x" * 60, "")
def test_a_token_is_never_repeated(before: str, after: str) -> None:
    quoted = quote(before + SECRET + after)
    assert TOKEN.search(quoted.encode()) is None
    assert re.search("a{6}", quoted.replace(before, "")) is None or "aaaaaa" in before + after
    assert "bbbbbb" not in quoted or "bbbbbb" in before + after


def test_a_name_that_an_operator_gives_is_one_or_is_refused() -> None:
    assert require_name("acme", "the organisation") == "acme"
    with pytest.raises(InvalidError):
        require_name("two\nlines", "the organisation")
