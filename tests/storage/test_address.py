"""Which database of PostgreSQL's a URL names, and that nobody is shown its password."""

from __future__ import annotations

import pytest

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage.places import place_of
from tests.promises import promise

SECRET = "hunter2"


@promise("organisations.directory")
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@h/db?schema=acme",
        f"postgresql://me@h/db?password={SECRET}&schema=acme",
        f"postgresql://me@h/db?sslpassword={SECRET}",
        f"postgresql://me:a%2F{SECRET}@h/db",
        f"postgresql://me:a@{SECRET}@h/db",
        f"postgresql://me:{SECRET}@h:5432,other:5432/db",
    ],
)
def test_a_place_is_shown_without_its_password(url: str) -> None:
    assert SECRET not in place_of(url).url


@promise("organisations.directory")
@pytest.mark.parametrize("sign", ["/", "#", "?", "[", " /", "%zz"])
def test_a_password_whose_signs_would_end_it_is_refused_and_not_shown(sign: str) -> None:
    """What stands behind the sign would be taken for the host, the path, a fragment."""
    with pytest.raises(InvalidError) as refused:
        place_of(f"postgresql://me:{SECRET}{sign}{SECRET}@127.0.0.1:1/db")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", [f"postgresql:me:{SECRET}@h/db", f"postgres:/me:{SECRET}@h/db"])
def test_a_mistyped_url_is_no_name_of_a_file(url: str) -> None:
    with pytest.raises(InvalidError) as refused:
        place_of(url)
    assert SECRET not in str(refused.value)
