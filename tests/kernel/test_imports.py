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
