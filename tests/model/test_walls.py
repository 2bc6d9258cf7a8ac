"""What the database itself shows of objects, whatever is asked, is what the model says."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from tests.grounds import GROUNDS
from tests.model.beside import Start, found
from tests.model.test_machine import Machine, play
from tests.promises import promise
from tests.walls import keys_of, raw_at


class Walled(Machine):
    """After every change, for every second caller: raw SQL with what walls are told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = self.stack.enter_context(raw_at(self.url))

    def look(self, things: list[str], places: list[str], *, whole: bool) -> None:
        turn = next(self.numbers)
        for number, token in enumerate(self.watching(), turn):
            if number % 2 and not whole:
                continue
            asked = keys_of(self.scoped, self.secrets[token])
            keys = self.loop.run_until_complete(asked)
            there, gone = self.objects(token)
            assert self.raw.ids("objects", keys) == there | gone
            who = self.with_(token)
            seen = {(k, v) for k in there | gone for v in self.model.sight(who, k)[1]}
            assert self.raw.versions("version_contents", keys) == seen
            if whole:
                assert self.raw.versions("versions", keys) == seen


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    ground = GROUNDS["postgresql"]
    made = asyncio.run(found(ground, tmp_path_factory.mktemp("model")))
    yield made
    ground.forget(made.url)


@pytest.mark.slow
@promise("walls.model")
def test_raw_sql_finds_what_the_model_says(start: Start) -> None:
    chance = secrets.randbelow(2**30)
    print(f"the seed is {chance}")  # noqa: T201 - shown where it fails
    play(start, 5, 25, chance, Walled)
