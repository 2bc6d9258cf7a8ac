"""Which database of PostgreSQL's a URL names, and that nobody is shown its password."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from scoped_mcp.houses import founding
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage.places import place_of
from scoped_mcp.storage.postgres.address import Address
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


@pytest.mark.parametrize(
    "query",
    [
        "host=/tmp/a%20b",
        "password=a%20b",
        "password=a+b",
        "password=a%2Bb%26",
        "sslrootcert=/a%2Fb",
    ],
)
@pytest.mark.parametrize("host", ["me@there", "", "me@", "there:1,other:2"])
def test_what_a_url_says_of_the_server_is_left_to_libpq(host: str, query: str) -> None:
    due = conninfo_to_dict(f"postgresql://{host}/db?{query}")
    address = Address.parse(f"postgresql://{host}/db?{query}&schema=acme")
    found = conninfo_to_dict(address.conninfo)
    assert {name: found[name] for name in due} == due
    assert address.schema == "acme"
    if not query.startswith("password"):
        beside = founding._schema_beside(place_of(address.shown).url, "beta")
        found = conninfo_to_dict(Address.parse(beside).conninfo)
        assert {name: found[name] for name in due} == due
        assert Address.parse(beside).schema == "beta"
    assert "a%20b" not in Address.parse("postgresql:///db?password=a%20b").shown


def test_half_a_password_is_not_taken_for_a_host_and_shown() -> None:
    with pytest.raises(InvalidError):
        Address.parse("postgresql://me:5e#ame@there/db")
    assert "ame" not in Address.parse("postgresql://me:5e%23ame@there/db").shown
