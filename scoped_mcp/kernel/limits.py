"""The limits of contract §6: defaults, all of them settings."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400


@dataclass(frozen=True)
class Limits:
    """Bounds on what callers may send and keep.

    Attributes:
        object_bytes: Canonical JSON of one object.
        object_depth: Nesting of one object's data.
        request_bytes: One request's body.
        bulk: Objects in one bulk operation.
        scope_depth: Scopes from a root to its deepest descendant.
        delegation_depth: Delegates below one user's or service's own credential.
        delegates: Live delegates of one principal.
        token_seconds: Longest life of a token.
        delegation_seconds: Longest life of a delegation.
        environment_idle_seconds: Life of an unused environment where none is asked for.
        environment_seconds: Longest life of an environment, used or not, without an extension.
        revival_seconds: How long an expired environment can be revived by its owner.
        imports: Imports of one environment.
        snapshot_objects: Objects in one snapshot.
        promotion_seconds: How long a promotion waits for its reviewers.
        prepare_seconds: How long preparing the work of one call may take, beside its transaction.
        prepare_bytes: Contents that one call may merge or compare.
        follows: Open follows of the trail in one session.
        follow_seconds: How long a follow stays open that nobody looks at.
        subscriptions: What one credential may follow at once, in one server process.
        failures_a_minute: Failed authentications of one source that are looked at in a minute.
    """

    object_bytes: int = 1_048_576
    object_depth: int = 64
    request_bytes: int = 4 * 1_048_576
    bulk: int = 200
    scope_depth: int = 20
    delegation_depth: int = 5
    delegates: int = 50
    token_seconds: int = 365 * DAY
    delegation_seconds: int = 30 * DAY
    environment_idle_seconds: int = DAY
    environment_seconds: int = 30 * DAY
    revival_seconds: int = 7 * DAY
    imports: int = 1_000
    snapshot_objects: int = 10_000
    promotion_seconds: int = 7 * DAY
    prepare_seconds: int = 20
    prepare_bytes: int = 64 * 1_048_576
    follows: int = 20
    follow_seconds: int = 300
    subscriptions: int = 100
    failures_a_minute: int = 600
