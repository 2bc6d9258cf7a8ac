"""The trail as the database holds it, read below the application."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests import grounds


@dataclass
class Standing:
    """What has been taken and not yet given back, at one place of the trail."""

    removed: set[tuple[str, str]] = field(default_factory=set)
    unshared: set[tuple[str, str]] = field(default_factory=set)
    suspended: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)


def entries(url: str) -> list[dict[str, Any]]:
    """The bodies of all entries, in their order."""
    with grounds.of(url).looking(url) as raw:
        found = raw.execute("SELECT body FROM entries ORDER BY seq")
        return [json.loads(body) for (body,) in found.fetchall()]


def contents(url: str, kind: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every version of every thing of a kind: its id, the version, its state."""
    query = """
        SELECT r.public_id, c.version, c.content FROM version_contents c
        JOIN registry r ON r.id = c.id WHERE r.kind = ?
    """
    with grounds.of(url).looking(url) as raw:
        for public_id, version, content in raw.execute(query, (kind,)).fetchall():
            yield public_id, version, json.loads(content)


def credentials_of_sessions(url: str) -> dict[str, str]:
    """Session → its credential."""
    return {i: content["state"]["credential"] for i, _, content in contents(url, "session")}


def late_writes(
    trail: Iterable[dict[str, Any]], scope: str, credentials: dict[str, str]
) -> list[int]:
    """Places of the writes that stand behind what should have stopped them.

    Args:
        trail: Bodies of entries, in their order.
        scope: The only scope through which the writers have access.
        credentials: Session → its credential.
    """
    late: list[int] = []
    standing = Standing()
    for entry in trail:
        if entry["outcome"] != "done":
            continue
        asked = entry["asked"]
        match entry["operation"]:
            case "scope.remove_member":
                standing.removed.add((asked["principal"], asked["scope"]))
            case "scope.add_member":
                standing.removed.discard((asked["principal"], asked["scope"]))
            case "object.unshare":
                standing.unshared.add((asked["object"], asked["scope"]))
            case "object.share":
                standing.unshared.discard((asked["object"], asked["scope"]))
            case "principal.suspend":
                standing.suspended.add(asked["id"])
            case "principal.resume":
                standing.suspended.discard(asked["id"])
            case "token.revoke":
                standing.revoked.add(asked["id"])
            case "object.update":
                if _stopped(entry, standing, scope, credentials):
                    late.append(entry["seq"])
    return late


def _stopped(
    entry: dict[str, Any], standing: Standing, scope: str, credentials: dict[str, str]
) -> bool:
    return (
        (entry["principal"], scope) in standing.removed
        or (entry["asked"]["id"], scope) in standing.unshared
        or entry["principal"] in standing.suspended
        or credentials[entry["session"]] in standing.revoked
    )
