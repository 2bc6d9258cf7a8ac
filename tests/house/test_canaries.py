"""Canaries in what is alice's: mallory hears none of them, and no log hears anything at all.

Over real HTTP, with every logger turned up, every span collected and standard error read: what
tools, resources, completions, errors, `/metrics` and `/healthz` say, and what is logged of alice's
own calls, of refusals, of mistakes in an extension and of a full disk.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from httpx2 import AsyncClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from scoped_mcp.faces.mcp.http import bind, serve_on
from scoped_mcp.faces.mcp.resources import ADDRESSES
from scoped_mcp.kernel.ids import AnyId
from scoped_mcp.spine.declare import Effect, catalogue, id_fields
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage import driver
from tests.house.canaries import Canaries, Ear, forms, listening
from tests.promises import promise
from tests.sample import Sample, sample

OPERATIONS = [one for one in catalogue.values() if one.tool]
HIDDEN = {"reason of a state"}
"""What no view shows, its author's either."""


@dataclass
class Stage:
    """A served house, somebody at its door, and what was heard behind it."""

    house: Sample
    url: str
    http: AsyncClient
    canaries: Canaries
    ear: Ear
    spans: InMemorySpanExporter
    said: dict[str, list[str]] = field(default_factory=lambda: {})

    async def send(self, who: str, method: str, path: str, **what: Any) -> str:
        """A request, and the answer as it stands on the wire."""
        token = self.house.plan.tokens[who]
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        headers |= {"content-type": "application/json"}
        answer = await self.http.request(method, self.url + path, headers=headers, **what)
        found = f"{answer.headers} {answer.text}"
        self.said.setdefault(who, []).append(found)
        return found

    async def rpc(self, who: str, method: str, **params: Any) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.send(who, "POST", "/mcp", content=json.dumps(body))

    async def call(self, who: str, operation: str, arguments: Any, **more: Any) -> str:
        named = self.house.fill(arguments)
        tool = operation.replace(".", "_")
        return await self.rpc(who, "tools/call", name=tool, arguments=named, **more)

    def heard_by(self, who: str) -> set[str]:
        return self.canaries.heard("\n".join(self.said[who]))

    def logged(self) -> set[tuple[str, str]]:
        """Who said something of which place."""
        spans = [(span.name, span.to_json()) for span in self.spans.get_finished_spans()]
        said = [*self.ear.lines, *spans]
        return {(by, place) for by, text in said for place in self.canaries.heard(text)}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span that a library emits; a process has one provider for good."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


@contextlib.asynccontextmanager
async def staged(folder: Path, spans: InMemorySpanExporter) -> AsyncIterator[Stage]:
    """The sample house behind the server that `scoped-mcp serve` runs."""
    with listening() as ear:
        async with sample(folder) as house, AsyncClient() as http:
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            stop: list[Callable[[], None]] = []
            bound = bind("127.0.0.1", 0)
            serving = asyncio.create_task(
                serve_on(house.scoped, bound, ready=ready.set_result, stopper=stop.append)
            )
            url = (await asyncio.wait_for(ready, 10)).removesuffix("/mcp")
            for name in ("uvicorn", "uvicorn.access"):  # it sets these itself when it is made
                logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger("uvicorn").propagate = True
            try:
                yield Stage(house, url, http, Canaries(), ear, spans)
            finally:
                stop[0]()
                await serving


async def _plant(stage: Stage) -> None:
    """A secret in every place where alice can put text, and some encoded already."""
    new = stage.canaries.plant
    encoded = {
        "plain": new("value"),
        "base64": base64.b64encode(new("base64").encode()).decode(),
        "hex": new("hex").encode().hex(),
        "url": quote(new("url"), safe=""),
        "json": json.dumps({"inside": new("json")}),
        new("key"): [{new("key within"): 1}],
    }
    first, scope, frozen = "obj_aaaaaaaaaaaaaaaa", "scp_aaaaaaaaaaaaaaaa", "scp_aaaaaaaaaaaaaaac"
    changed = [{"id": first, "patch": {}}]
    me = (await stage.house.alice.call("whoami"))["principal"]["id"]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("object.update", {"id": first, "data": encoded, "reason": new("reason")}),
        ("object.update", {"id": first, "patch": {"newer": new("patch")}}),
        ("object.tag", {"id": first, "tags": [new("tag")]}),
        ("object.create", {"type": "note", "data": {}, "name": new("name")}),
        ("object.create_many", {"objects": [{"type": "note", "data": {"n": new("bulk")}}]}),
        (
            "object.update_many",
            {"changes": changed, "reason": new("bulk reason")},
        ),
        ("scope.update", {"id": scope, "name": new("scope"), "description": new("description")}),
        ("scope.set_state", {"id": frozen, "state": "frozen", "reason": new("reason of a state")}),
        ("principal.update", {"id": me, "metadata": {new("metadata key"): new("metadata")}}),
    ]
    for operation, arguments in calls:
        assert '"isError":true' not in await stage.call("alice", operation, arguments), operation


async def _ask_everything(stage: Stage, who: str, *, reads: bool) -> None:
    """Every tool about everything of alice's, every address, every completion, every list."""
    ids = stage.house.plan.ids
    for operation in OPERATIONS:
        if reads and operation.effect is not Effect.READ:
            continue
        example, fields = dict(operation.command.example), operation.command.model_fields
        needed = {name: value for name, value in example.items() if fields[name].is_required()}
        await stage.call(who, operation.name, example)
        if "detail" in fields:
            await stage.call(who, operation.name, example | {"detail": "full"})
        for name, kind in id_fields(operation.command).items():
            for one in ids.values():
                if kind is AnyId or one.startswith(kind.prefix):
                    await stage.call(who, operation.name, needed | {name: one})
    for listed in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        await stage.rpc(who, listed)
    for address in ADDRESSES:
        for one in ids.values():
            uri = address.uri.replace("{id}", one).replace("{n}", "2")
            await stage.rpc(who, "resources/read", uri=uri)
        reference = {"type": "ref/resource", "uri": address.uri}
        argument = {"name": "id", "value": ""}
        await stage.rpc(who, "completion/complete", ref=reference, argument=argument)
    for path in ("/healthz", "/metrics"):
        await stage.send(who, "GET", path)


async def _go_wrong(stage: Stage, who: str) -> None:
    """Everything that is refused before it is understood, a secret in each part of it."""
    new = stage.canaries.plant
    wrong: list[Any] = [
        {"type": new("type"), "data": {}},
        {"type": "note", "data": new("no object")},
        {"type": "note", "data": {"n": 2**60, new("key beside"): 1}},
        {"type": "note", "data": {}, new("argument"): 1},
        {"type": "note", "data": {}, "name": new("bidi") + "\u202e"},
        new("no arguments"),
    ]
    for arguments in wrong:
        await stage.call(who, "object.create", arguments)
    await stage.call(who, new("tool"), {})
    await stage.call(who, "object.get", {"id": new("id")})
    await stage.call(who, "object.list", {"cursor": new("cursor")})
    meta = {"scoped-mcp/key": new("idempotency"), "traceparent": new("trace"), "x": new("meta")}
    note = {"type": "note", "data": {"n": 1}}
    await stage.call(who, "object.create", note, _meta=meta)
    await stage.rpc(who, "resources/read", uri=f"scoped://objects/{quote(new('address'))}")
    await stage.rpc(who, "no/method")  # spans are named after methods, as they were sent
    await stage.send(who, "POST", "/mcp", content='{"jsonrpc": "' + new("broken"))
    await stage.send(who, "GET", f"/{quote(new('path'))}?q={quote(new('query'))}")
    token = stage.house.plan.tokens[who]
    for path in ("/mcp", f"/mcp?token={token}", f"/metrics?access_token={token}"):
        for near in (token[:-1], f"{token} {token}"):
            await stage.http.post(stage.url + path, headers={"authorization": f"Bearer {near}"})
    made = await stage.call(who, "agent.delegate", {"name": "canary", "ttl_seconds": 600})
    assert "smcp_" in made
    stage.canaries.watch("a delegate's token", made.partition("smcp_")[2][17:60])


async def _break(stage: Stage, who: str) -> None:
    """An extension with a mistake in each place that it can hang itself into; a full disk."""
    new = stage.canaries.plant

    def talks(_tx: Any, _after: Any, content: bytes) -> None:
        raise ValueError(content.decode())

    def asks(tx: Any, _after: Any, content: bytes) -> None:
        tx.rows(text("SELECT json_extract(:content, :path)"), {"content": content, "path": "?"})

    def guards(_tx: Any, _operation: Any, command: Any) -> None:
        raise RuntimeError(command)

    hooks: list[tuple[list[Any], Any]] = [(ports.entity_guards, talks), (ports.entity_guards, asks)]
    for at, (hook, mistake) in enumerate([*hooks, (ports.guards, guards)]):
        hook.append(mistake)
        note = {"type": "note", "data": {"n": new(f"mistake {at}")}}
        assert '"internal"' in await stage.call(who, "object.create", note)
        hook.remove(mistake)
    async with _full(stage.house):
        big = {"type": "note", "data": {"n": [new("full disk")] * 2_000}}
        assert "disk is full" in await stage.call(who, "object.create", big)


@contextlib.asynccontextmanager
async def _full(house: Sample) -> AsyncIterator[None]:
    """A database that may not grow: what SQLite then says is what it says of a full disk."""
    writer = house.scoped.spine.database._writer

    def limit(pages: int) -> None:
        writer.raw.set_authorizer(None)
        writer.raw.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        driver.confine(writer.raw)

    await writer.run(lambda: limit(1))
    try:
        yield
    finally:
        await writer.run(lambda: limit(2**30))


@promise("readme.secrets", "readme.private")
async def test_nobody_hears_a_canary_that_is_not_theirs_and_no_log_hears_any(
    tmp_path: Path, spans: InMemorySpanExporter, capfd: pytest.CaptureFixture[str]
) -> None:
    async with staged(tmp_path, spans) as stage:
        tokens = stage.house.plan.tokens
        for who, token in tokens.items():
            stage.canaries.watch(f"{who}'s token", token.rpartition("_")[2])
        await _plant(stage)
        await _ask_everything(stage, "mallory", reads=False)
        await _go_wrong(stage, "alice")
        await _break(stage, "alice")
        await _ask_everything(stage, "mallory", reads=True)
        assert stage.heard_by("mallory") == set()
        assert {"aiosqlite", "scoped_mcp"} <= {name for name, _ in stage.ear.lines}
        assert spans.get_finished_spans()
    assert stage.logged() == set()
    out, err = capfd.readouterr()
    assert stage.canaries.heard(out + err) == set()


async def test_who_may_hear_them_hears_every_one_in_the_same_places(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """The sweep can fail: as alice it finds all that it planted."""
    async with staged(tmp_path, spans) as stage:
        await _plant(stage)
        await _ask_everything(stage, "alice", reads=True)
        assert stage.heard_by("alice") == stage.canaries.places - HIDDEN


@pytest.mark.parametrize("leak", ["debug", "arguments", "error", "span"])
async def test_a_leak_is_caught(tmp_path: Path, spans: InMemorySpanExporter, leak: str) -> None:
    async with staged(tmp_path, spans) as stage:
        secret = stage.canaries.plant(leak)
        log = logging.getLogger("scoped_mcp.leak")
        if leak == "debug":
            log.debug("stored %s", secret)
        elif leak == "arguments":
            log.debug("stored", extra={"content": secret.encode()})
        elif leak == "error":
            try:
                raise ValueError(secret)  # noqa: TRY301 - the leak
            except ValueError:
                log.exception("failed")
        else:
            with trace.get_tracer("leak").start_as_current_span("call") as span:
                span.set_attribute("argument", secret)
        assert {place for _, place in stage.logged()} == {leak}


def test_a_part_of_a_canary_is_heard_in_every_form_and_at_every_place() -> None:
    canaries = Canaries()
    secret = canaries.plant("here")
    for form in forms(secret):
        middle = len(form) // 2
        for part in (form[:12], form[middle - 6 : middle + 6], form[-12:]):
            assert canaries.heard(f"some {part} text") == {"here"}, form
    for before in range(6):
        encoded = base64.b64encode(b"x" * before + secret.encode() + b"y" * before).decode()
        assert canaries.heard(encoded) == {"here"}
    assert canaries.heard(json.dumps({"data": [secret]})) == {"here"}
    assert canaries.heard("nothing of it stands here, 0123456789abcdef") == set()
