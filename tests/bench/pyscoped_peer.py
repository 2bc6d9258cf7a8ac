"""The peer: pyscoped from PyPI doing the same work, in a process and with libraries of its own.

It runs as a script with `PYTHONPATH` naming the folder into which one version was installed, and
takes one line at a time: what to do, and how often. It answers the seconds that it took and how
much was done: operations, or entries that were verified.

    create 200 · get 200 · list 50 · share 200 · revoke 200 · verify 1

Both versions are used as their README shows: one backend, an audit writer, the managers over them.
`get` and `list` leave no trace there; `verify` looks at hashes alone.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from typing import Any

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")  # 1.8.1 calls its own backend of 0.1.0 deprecated

from scoped.audit.query import AuditQuery  # noqa: E402 - which of them logs when it is imported
from scoped.audit.writer import AuditWriter  # noqa: E402
from scoped.identity.principal import PrincipalStore  # noqa: E402
from scoped.objects.manager import ScopedManager  # noqa: E402
from scoped.tenancy.lifecycle import ScopeLifecycle  # noqa: E402
from scoped.tenancy.projection import ProjectionManager  # noqa: E402

DATA = {"title": "hello", "body": "a note of the usual size, with a sentence or two in it", "n": 1}


def backend(path: str) -> Any:
    """SQLite as `scoped.init(database_url=...)` opens it in this version."""
    try:
        from scoped.storage.sa_sqlite import SASQLiteBackend as Backend
    except ImportError:
        from scoped.storage.sqlite import SQLiteBackend as Backend
    opened = Backend(path)
    opened.initialize()
    return opened


class Work:
    """One principal with its objects and a scope."""

    def __init__(self, path: str) -> None:
        store = backend(path)
        audit = AuditWriter(store)
        self._manager = ScopedManager(store, audit_writer=audit)
        self._projections = ProjectionManager(store, audit_writer=audit)
        self._query = AuditQuery(store)
        self._me = PrincipalStore(store).create_principal(kind="user", display_name="alice").id
        scopes = ScopeLifecycle(store, audit_writer=audit)
        self._scope = scopes.create_scope(name="shared", owner_id=self._me).id
        self._made: list[str] = []
        self._unshared: list[str] = []
        self._shared: list[str] = []

    def create(self) -> int:
        made, _ = self._manager.create(object_type="note", owner_id=self._me, data=DATA)
        self._made.append(made.id)
        self._unshared.append(made.id)
        return 1

    def get(self) -> int:
        assert self._manager.get(self._made[-1], principal_id=self._me) is not None
        return 1

    def list(self) -> int:
        assert len(self._manager.list_objects(principal_id=self._me, limit=20)) == 20
        return 1

    def share(self) -> int:
        one = self._unshared.pop()  # 0.1.0 shares an object once and never again
        self._projections.project(scope_id=self._scope, object_id=one, projected_by=self._me)
        self._shared.append(one)
        return 1

    def revoke(self) -> int:
        one = self._shared.pop()
        found = {"scope_id": self._scope, "object_id": one, "revoked_by": self._me}
        assert self._projections.revoke_projection(**found)
        return 1

    def verify(self) -> int:
        found = self._query.verify_chain()
        assert found.valid
        return int(found.entries_checked)


def main(path: str) -> None:
    work = Work(path)
    for line in sys.stdin:
        what, times = line.split()
        do = getattr(work, what)
        began = time.perf_counter()
        done = sum(do() for _ in range(int(times)))
        print(time.perf_counter() - began, done, flush=True)  # noqa: T201 - what it is asked


if __name__ == "__main__":
    main(sys.argv[1])
