"""A URL leads where libpq says that it does."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from scoped_mcp.houses import founding
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.storage.places import place_of
from scoped_mcp.storage.postgres.address import Address


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
