"""A cursor goes on only where it was made, for whom it was made."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoped_mcp.kernel.cursors import seal, unseal
from scoped_mcp.kernel.errors import InvalidError
from tests.promises import promise

SECRET = b"s" * 32
plain = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.binary(), plain)
def test_the_maker_reads_its_position(binding: bytes, position: str) -> None:
    cursor = seal(SECRET, binding, position)
    assert unseal(SECRET, binding, cursor) == position
    assert cursor.isascii()


@promise("cursors.bound")
@given(st.binary(), st.binary(), plain)
def test_another_binding_reads_nothing(mine: bytes, yours: bytes, position: str) -> None:
    if mine == yours:
        return
    with pytest.raises(InvalidError):
        unseal(SECRET, yours, seal(SECRET, mine, position))


@promise("cursors.bound")
def test_another_database_reads_nothing() -> None:
    with pytest.raises(InvalidError):
        unseal(b"t" * 32, b"b", seal(SECRET, b"b", "obj_x"))


def test_binding_and_position_do_not_run_into_each_other() -> None:
    with pytest.raises(InvalidError):
        unseal(SECRET, b"a", seal(SECRET, b"a\x00b", "c"))


@given(st.text())
@example("!")  # no Base64
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidError):
        unseal(SECRET, b"b", cursor)


@promise("cursors.bound")
@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    cursor = seal(SECRET, b"b", "obj_abcdefghij234567")
    place = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("AZaz09-_").filter(lambda c: c != cursor[place]))
    with pytest.raises(InvalidError):
        unseal(SECRET, b"b", cursor[:place] + letter + cursor[place + 1 :])
