"""Served by real processes: workers over HTTP, and stdio."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fastmcp.client import Client
from fastmcp.client.transports import StdioTransport

from tests.faces.cli import PROGRAM, new_house
from tests.faces.test_workers import halted, serving
from tests.promises import promise

pytestmark = pytest.mark.slow


@promise("organisations.founded", "organisations.suspended")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_every_worker_serves_an_organisation_from_its_founding_to_its_move(tmp_path: Path) -> None:
    root = new_house(tmp_path)
    with serving(root) as crew:
        token = root("org", "create", "acme", "--owner", "anna").out.strip()
        one, other = crew.workers
        made = ""
        for worker in (one, other):
            with halted(worker):
                status, note = crew.call("object_create", {"type": "note", "data": {}}, token)
                assert status == 200
                made = note["id"]
        root("org", "suspend", "acme")
        for worker in (one, other):
            with halted(worker):
                status, said = crew.call("whoami", {}, token)  # the door knows it for a second
                assert status == 401 or said["error"]["code"] == "unauthenticated"
                assert crew.call("whoami", {}, root.token or "")[0] == 200
        root("org", "resume", "acme")
        assert root("org", "move", "acme", "--to", str(tmp_path / "there.db")).code == 0
        for worker in (one, other):
            with halted(worker):
                assert crew.call("object_get", {"id": made}, token)[1]["version"] == 1


@promise("organisations.tokens", "organisations.suspended")
async def test_over_stdio_too_a_token_leads_to_its_organisation(tmp_path: Path) -> None:
    root = new_house(tmp_path)
    anna = root.bearer(root("org", "create", "acme", "--owner", "anna").out.strip())
    program, *arguments = PROGRAM
    transport = StdioTransport(
        program, [*arguments, "serve"], env=anna.environment, keep_alive=False
    )
    async with Client(transport) as client:
        me = await client.call_tool("whoami", {})
        assert me.structured_content["principal"]["name"] == "anna"
        assert root("org", "suspend", "acme").code == 0
        refused = await client.call_tool("whoami", {}, raise_on_error=False)
        assert refused.structured_content["error"]["code"] == "unauthenticated"
