"""The lifecycle of kinds and operations."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from scoped_mcp.layers.registry import logic
from scoped_mcp.layers.registry.model import Lifecycle
from tests.promises import promise

FORWARD = [Lifecycle.DRAFT, Lifecycle.ACTIVE, Lifecycle.DEPRECATED, Lifecycle.ARCHIVED]


def test_every_move_that_is_named_is_legal_and_no_other() -> None:
    for now, then in product(Lifecycle, Lifecycle):
        assert logic.legal(now, then) is (then.value in logic.moves(now))


def test_nothing_stays_where_it_is_or_becomes_a_draft_again() -> None:
    for now in Lifecycle:
        assert not logic.legal(now, now)
        assert not logic.legal(now, Lifecycle.DRAFT)


def test_the_way_forward_is_open_and_nothing_in_use_is_archived_without_notice() -> None:
    for now, then in pairwise(FORWARD):
        assert logic.legal(now, then)
    assert not logic.legal(Lifecycle.ACTIVE, Lifecycle.ARCHIVED)


@promise("registry.restore")
def test_every_place_can_be_left_and_the_way_back_is_to_active() -> None:
    for now in (Lifecycle.DEPRECATED, Lifecycle.ARCHIVED):
        assert logic.legal(now, Lifecycle.ACTIVE)


@pytest.mark.parametrize(
    ("url", "holds"),
    [
        ("sqlite:////srv/a.db", False),
        ("postgresql://me@host:5432/db?schema=a", False),
        ("postgresql://me:secret@host/db", True),
        ("postgresql://host/db?a=b&PASSWORD=secret", True),
        ("postgresql://host/db?sslpassword=secret", True),
        ("postgresql://host/db?oauth_client_secret=secret", True),
        ("", False),
    ],
)
def test_a_password_is_found_wherever_a_url_may_have_one(url: str, holds: bool) -> None:
    assert logic.has_password(url) is holds
