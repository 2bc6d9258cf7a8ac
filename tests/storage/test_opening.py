"""What a house opens with: a key that is one, and a row of its own that nobody edited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from scoped_mcp import Scoped
from scoped_mcp.app import key_path, place_of
from scoped_mcp.config import Settings
from scoped_mcp.kernel.errors import InternalError, InvalidError
from scoped_mcp.storage import keys
from tests.grounds import Ground
from tests.promises import promise


@promise("cursors.bound", "embedded.files")
@pytest.mark.parametrize("held", [b"", b"short", bytes(33)])
async def test_a_house_does_not_open_with_what_is_no_key(database_url: str, held: bytes) -> None:
    key = key_path(place_of(database_url), Settings())
    key.write_bytes(held)  # an editor's, or a disk's that was full
    with pytest.raises(InvalidError):
        async with Scoped.open(database_url):
            pass
    assert key.read_bytes() == held


@promise("embedded.files")
def test_who_finds_none_at_once_gets_one_and_the_same(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.key"
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(partial(keys.read, beside=True), [path] * 8))
        assert {len(key) for key in found} == {keys.KEY_BYTES}
        assert len(set(found)) == 1
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 20


def test_a_key_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.key"
    keys.make(path)
    before = path.read_bytes()
    keys.make(path, b"x" * keys.KEY_BYTES)
    assert path.read_bytes() == before


async def test_a_house_whose_own_row_was_edited_says_so(database_url: str, ground: Ground) -> None:
    with ground.below(database_url) as raw:
        raw.execute("UPDATE organisations SET id = id + 1")
    with pytest.raises(InternalError):
        async with Scoped.open(database_url):
            pass
