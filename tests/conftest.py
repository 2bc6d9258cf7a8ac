"""A fresh house for every test, a clock that stands still, and alice, bob and mallory.

    async def test_something(house: Home, alice: Session) -> None:
        made = await alice.call("object.create", {"type": "note", "data": {}})
        house.clock.advance(60)

The house is copied from a template made once a test session, so a test pays for a copy.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from scoped_mcp import Scoped, Session
from tests import grounds, postgres
from tests.grounds import Ground

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WEEK = 7 * 86_400

# Timing is the machine's affair, not a property; a failure is repeated by its printed seed.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("one", settings.get_profile("house"), max_examples=1)
settings.load_profile(os.environ.get("SCOPED_MCP_TEST_EXAMPLES", "house"))


def _in_memory() -> None:
    """Put what tests write where no disk is waited for; it goes with the process that began."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="scoped-tests-", dir=postgres.memory()))
    folder.chmod(0o755)  # PostgreSQL runs as another account where we are root
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


_in_memory()


class FixedClock:
    """A clock that moves when told to: the time of day and the seconds since boot together."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._elapsed = 1_000.0

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds

    def set(self, now: datetime) -> None:
        """Let time pass until `now`."""
        self.advance((now - self._now).total_seconds())

    def jump(self, seconds: float) -> None:
        """Set the time of day wrong: the seconds since boot do not move."""
        self._now += timedelta(seconds=seconds)


class FixedEntropy:
    """Chance that is the same in every run: one stream a caller (ruling 68)."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._drawn: Counter[str] = Counter()

    def draw(self, stream: str, size: int) -> bytes:
        self._drawn[stream] += 1
        name = f"{self._seed}/{stream}/{self._drawn[stream]}"
        return hashlib.shake_256(name.encode()).digest(size)


@dataclass
class Home:
    """An open house and those who live in it.

    Attributes:
        scoped: The open house.
        url: Its database.
        clock: Its clock.
        root_token: The token of the first principal.
        root: A session of the first principal.
    """

    scoped: Scoped
    url: str
    clock: FixedClock
    root_token: str
    root: Session
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its file: for tests of SQLite alone."""
        return Path(self.url.removeprefix("sqlite:///"))

    async def user(self, name: str, toolsets: Iterable[str] = ("all",), **limits: Any) -> Session:
        """A session of the user with this name, who is created on first use."""
        return await self._enrol(name, "user", toolsets, limits)

    async def agent(
        self,
        name: str,
        toolsets: Iterable[str] = ("all",),
        of: Session | None = None,
        **limits: Any,
    ) -> Session:
        """A session of an agent: root's, or a delegate of `of`."""
        if of is None:
            return await self._enrol(name, "agent", toolsets, limits)
        asked = {"name": name, "ttl_seconds": WEEK, "toolsets": list(toolsets), **limits}
        made = await of.call("agent.delegate", asked)
        self.tokens[name], self.ids[name] = made["token"], made["principal"]["id"]
        return await self.scoped.session(made["token"])

    def token(self, name: str) -> str:
        """The newest token of a principal that was made here."""
        return self.tokens[name]

    def id(self, name: str) -> str:
        """The id of a principal that was made here."""
        return self.ids[name]

    async def _enrol(
        self, name: str, kind: str, toolsets: Iterable[str], limits: dict[str, Any]
    ) -> Session:
        if name not in self.tokens:
            asked = {"name": name, "kind": kind, "ttl_seconds": WEEK, "toolsets": list(toolsets)}
            made = await self.root.call("token.issue", asked | limits)
            self.tokens[name], self.ids[name] = made["token"], made["principal"]["id"]
        return await self.scoped.session(self.tokens[name])


CLAIMS = pytest.StashKey[dict[str, list[str]]]()
"""Which test claims which promises."""


LONGEST = ("test_coverage", "for_long", "however_much", "at_length", "an eighth", "test_tooling")
"""What takes longest on one core: nobody is to wait for it at the end."""
WAITING = (
    *("tests/faults/", "tests/examples/", "tests/bench/", "test_workers", "test_cli_serve"),
    *("test_cli_postgres", "test_moving", "test_serving", "test_mcp_stdio"),
)
"""What mostly waits for processes that it has started, which leaves the cores to others."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Know what all claim before a profile is chosen; then let the cores be busy until the end.

    Each process begins with its share of the list (`--dist worksteal`): every second one with some
    of what waits, the others with some of what takes longest.
    """
    config.stash[CLAIMS] = {
        item.nodeid: [name for mark in item.iter_markers("promise") for name in mark.args]
        for item in items
    }
    yield
    processes = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    waiting = [item for item in items if any(name in item.nodeid for name in WAITING)]
    longest = [item for item in items if any(name in item.nodeid for name in LONGEST)]
    others = iter([item for item in items if item not in {*waiting, *longest}])
    placed: list[pytest.Item] = []
    for n in range(processes):
        some, among = (longest, processes // 2) if n % 2 else (waiting, (processes + 1) // 2)
        share = some[n // 2 :: among]
        if processes == 1:
            share = [*waiting, *longest]
        size = (len(items) - len(placed)) // (processes - n)
        placed += [*share, *islice(others, max(0, size - len(share)))]
    items[:] = [*placed, *others]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    grounds.engines(metafunc)


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where keys of databases that are no files are kept, here and in the processes of tests."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCOPED_MCP_DATA_FOLDER", str(folder))
        yield folder


@pytest.fixture
def ground(request: pytest.FixtureRequest) -> Ground:
    """The engine on which this test's houses stand."""
    return grounds.GROUNDS[getattr(request, "param", "sqlite")]


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory,
    data_folder: Path,  # noqa: ARG001 - keys are made there
) -> Callable[[Ground], tuple[str, str]]:
    """A founded house that no test writes to, on each ground, and its first token."""

    @cache
    def found(ground: Ground) -> tuple[str, str]:
        url = ground.place(tmp_path_factory.mktemp("template"))
        return url, asyncio.run(Scoped.create(url, name="root", clock=FixedClock()))

    return found


@pytest.fixture
def template(ground: Ground, templates: Callable[[Ground], tuple[str, str]]) -> tuple[str, str]:
    """The one of this test's ground."""
    return templates(ground)


@pytest.fixture
def clock() -> FixedClock:
    """The clock of this test's house."""
    return FixedClock()


@pytest.fixture
def database_url(ground: Ground, template: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """A database of this test's own, not opened yet."""
    url = ground.copy(template[0], tmp_path)
    yield url
    ground.forget(url)


@pytest.fixture
def database_path(database_url: str) -> Path:
    """Its file: what asks for it is about SQLite alone."""
    return Path(database_url.removeprefix("sqlite:///"))


@pytest_asyncio.fixture
async def house(
    template: tuple[str, str], database_url: str, clock: FixedClock
) -> AsyncIterator[Home]:
    """A fresh house."""
    _, token = template
    async with Scoped.open(database_url, clock=clock) as scoped:
        root = await scoped.session(token)
        me = await root.call("whoami")
        ids = {"root": me["principal"]["id"]}
        yield Home(scoped, database_url, clock, token, root, {"root": token}, ids)


@pytest_asyncio.fixture
async def alice(house: Home) -> Session:
    """A user."""
    return await house.user("alice")


@pytest_asyncio.fixture
async def bob(house: Home) -> Session:
    """Another user."""
    return await house.user("bob")


@pytest_asyncio.fixture
async def mallory(house: Home) -> Session:
    """A user who has no access to anything and wants it all."""
    return await house.user("mallory")
