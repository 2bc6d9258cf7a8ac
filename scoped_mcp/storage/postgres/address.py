"""Where a PostgreSQL database is: libpq's URL, and the schema in it that is the organisation's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.text import quote
from scoped_mcp.storage.urls import joined, without

SCHEMA = "scoped"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SESSION = {
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
    "synchronous_commit": "on",  # whatever the database's default: acknowledged is durable
    # Plans are kept: one that was made for a small table must be good for a large one, too.
    "enable_seqscan": "off",
    "jit": "off",
    "row_security": "on",  # off, every statement that meets a wall would be an error
}

_NETWORK = {  # a server that is gone without a word is noticed; the URL may say otherwise
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SECRET = {one.keyword.decode() for one in Conninfo.get_defaults() if one.dispchar == b"*"}
"""The parameters of libpq's that it would not show either."""


@dataclass(frozen=True)
class Address:
    """A schema of a PostgreSQL database.

    Attributes:
        schema: Its name; `?schema=acme` in the URL, else `scoped`.
        shown: The URL without its password.
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read `postgresql://user@host/database?schema=acme`.

        Raises:
            InvalidError: it is no URL that libpq reads, or the schema's name is none of ours.
        """
        parts = _split(url)
        given = [word.partition("=") for word in parts.query.split("&") if word]
        schema = next((unquote(value) for name, _, value in given if name == "schema"), SCHEMA)
        if not _NAME.fullmatch(schema) or schema.startswith("pg_") or schema == "public":
            message = f"{quote(schema)} cannot be the schema of an organisation"
            raise InvalidError(message, hint="use lower-case letters, digits and underscores")
        if parts.fragment:  # what comes before it could be half of a password
            message = "the database's URL cannot be read"
            raise InvalidError(message, hint="write a `#` in it as %23")
        try:
            options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
            # Where it is not named, what is temporary goes before everything.
            options += f" -c search_path={schema},pg_catalog,pg_temp"
            libpq = joined(parts._replace(query=without(parts.query, "schema", "options")))
            whole = conninfo_to_dict(libpq)
            conninfo = make_conninfo(
                libpq,
                options=options,
                application_name="scoped-mcp",
                client_encoding="UTF8",
                **{name: value for name, value in _NETWORK.items() if name not in whole},
            )
        except (psycopg.Error, ValueError) as error:
            raise _unreadable() from error
        shown = parts.netloc.rpartition("@")
        user = shown[0].partition(":")[0]
        place = f"{user}@{shown[2]}" if user else shown[2]
        query = without(parts.query, "options", *_SECRET)
        clear = joined(parts._replace(netloc=place, query=query))
        return cls(conninfo, schema, clear)

    @property
    def database(self) -> str:
        """The name of the database in which the schema is."""
        return str(conninfo_to_dict(self.conninfo).get("dbname", ""))

    @property
    def identity(self) -> str:
        """A short name of this place, the same in every process: for the file of its key."""
        known = conninfo_to_dict(self.conninfo)
        where = [str(known.get(name, "")) for name in ("host", "hostaddr", "port", "dbname")]
        return hashlib.sha256("\0".join([*where, self.schema]).encode()).hexdigest()[:16]

    @property
    def channel(self) -> str:
        """The channel on which commits in this schema are told of."""
        return f"scoped_mcp_{self.lock('changes') & 0xFFFFFFFF:08x}"

    def lock(self, purpose: str) -> int:
        """The number of an advisory lock of this schema."""
        digest = hashlib.sha256(f"scoped-mcp/{purpose}/{self.schema}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)


def _split(url: str) -> SplitResult:
    """The parts of a URL, once it is plain which of them is the password.

    Raises:
        InvalidError: a password with a sign in it that ends it: what comes behind would be shown.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unreadable() from error
    behind = parts.path if "@" in parts.netloc else parts.path + parts.query
    if "@" in behind or "#" in url:
        raise _unreadable()
    return parts


def _unreadable() -> InvalidError:
    message = "the database's URL cannot be read"
    hint = (
        "use postgresql://user:password@host/database, with what is no letter or digit in them as"
        " %2F, %3F, %23, %40 and so on"
    )
    return InvalidError(message, hint=hint)
