"""Imports are not looked at, and what was so before is so afterwards."""

from __future__ import annotations

import gc

import pytest

from scoped_mcp.kernel.imports import uncollected


@pytest.mark.parametrize("was", [True, False])
def test_the_collector_rests_within_and_is_as_it_was_afterwards(*, was: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is was
    finally:
        (gc.enable if before else gc.disable)()


def test_a_program_never_looks_at_what_it_imported() -> None:
    before = gc.get_freeze_count()
    try:
        with uncollected(for_good=True):
            assert not gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
