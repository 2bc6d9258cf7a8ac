"""Every promise has a test that is really collected, or a reason why it has none."""

from __future__ import annotations

import re

import pytest

from tests.conftest import CLAIMS
from tests.house.source import ROOT
from tests.promises import PROMISES, promise

README = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
ROOMS = (1, 2, 3, 4, 6, 8, 9)  # the layers that are built


@pytest.fixture
def claims(pytestconfig: pytest.Config) -> dict[str, list[str]]:
    """Test → what it claims, of all tests in every profile: what was collected before choosing."""
    found = pytestconfig.stash[CLAIMS]
    files = {str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py")}
    if not files <= {name.partition("::")[0] for name in found}:
        pytest.skip("only the whole suite can say who proves what")
    return found


def test_every_promise_has_a_test_or_a_reason_and_never_both(claims: dict[str, list[str]]) -> None:
    claimed = {name for names in claims.values() for name in names}
    assert claimed <= PROMISES.keys()
    unproven = [n for n, one in PROMISES.items() if not one.why_not and n not in claimed]
    assert unproven == [], "promised, and no test proves it"
    contradicted = [n for n, one in PROMISES.items() if one.why_not and n in claimed]
    assert contradicted == [], "said to have no test"


def test_a_promise_that_nobody_made_is_claimed_by_nobody() -> None:
    with pytest.raises(AssertionError):
        promise("the.moon")


def test_every_ruling_has_its_promises() -> None:
    places = {one.where for one in PROMISES.values()}
    assert [n for n in range(1, 71) if f"ruling {n}" not in places] == []


def test_every_layer_that_is_built_has_promises_and_hard_cases() -> None:
    places = {one.where for one in PROMISES.values()}
    for number in ROOMS:
        assert {f"layers {number}", f"layers {number} hard"} <= places


def test_the_readme_s_table_is_in_the_list_and_the_list_s_headings_in_the_readme() -> None:
    section = README.partition("## What is promised\n")[2].partition("\n## ")[0]
    rows = {row.strip() for row in ROW.findall(section)} - {"invariant"}
    assert len(rows) >= 8
    held = {one.sentence for one in PROMISES.values() if one.where == "README: What is promised"}
    assert rows <= held
    for one in PROMISES.values():
        if one.where.startswith("README: "):
            assert f"\n## {one.where.removeprefix('README: ')}\n" in README


def test_sentences_and_reasons_are_sentences() -> None:
    for name, one in PROMISES.items():
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name), name
        assert len(one.sentence.split()) > 1 or one.why_not, name
        assert not one.why_not or len(one.why_not.split()) >= 3, name
