"""Whether a schema is exactly what this code makes: tables, keys, triggers, policies, grants.

A copy that comes from elsewhere may lack a guard, or bring one along. What it must have is made
anew beside it, in a transaction that is undone, and the catalogues of the two are compared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from psycopg import sql

from scoped_mcp.kernel.errors import InvalidError

if TYPE_CHECKING:
    from psycopg import Connection

MEASURE = "scoped_measure"
_PARTS = {
    "column": """
SELECT c.relname || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
  a.attnotnull, l.collname, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation l
  ON l.oid = a.attcollation LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = %(place)s AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'i'""",
    "relation": """
SELECT relname, concat_ws(' ', relkind, relpersistence, relrowsecurity, relforcerowsecurity,
  relowner::regrole, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(relacl) x))
FROM pg_class WHERE relnamespace = %(place)s""",
    "constraint": """
SELECT conrelid::regclass || '.' || conname, concat_ws(' ', pg_get_constraintdef(oid), convalidated)
FROM pg_constraint WHERE connamespace = %(place)s""",
    "index": """
SELECT c.relname, concat_ws(' ', pg_get_indexdef(c.oid), i.indisvalid) FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = %(place)s""",
    "trigger": """
SELECT t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled) FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = %(place)s AND NOT t.tgisinternal""",
    "rule": """
SELECT c.relname || '.' || r.rulename, pg_get_ruledef(r.oid) FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = %(place)s AND r.rulename <> '_RETURN'""",
    "view": """
SELECT relname, pg_get_viewdef(oid) FROM pg_class
WHERE relnamespace = %(place)s AND relkind IN ('v', 'm')""",
    "policy": """
SELECT c.relname || '.' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive,
  p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
  pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = %(place)s""",
    "function": """
SELECT proname, concat_ws(' ', pg_get_functiondef(oid), proowner::regrole) FROM pg_proc
WHERE pronamespace = %(place)s""",
}


def parts(raw: Connection[Any], schema: str) -> dict[tuple[str, str], str]:
    """Everything that the catalogues say of a schema: kind and name → definition."""
    found: dict[tuple[str, str], str] = {}
    place = {"place": schema}
    path = sql.SQL("SET LOCAL search_path = {}, pg_catalog").format(sql.Identifier(schema))
    raw.execute(path)
    own = re.compile(rf"(?<!')\b{schema}\.")  # a name's; a setting's stands in quotes
    for kind, query in _PARTS.items():
        asked = query.replace("%(place)s", "%(place)s::regnamespace").encode()
        for name, words in raw.execute(asked, place).fetchall():
            found[kind, own.sub("", str(name))] = own.sub("", str(words))
    return found


def require_same(raw: Connection[Any], schema: str) -> None:
    """Refuse a schema whose parts are not those of the measure.

    Raises:
        InvalidError: the message names the first that differs.
    """
    found, due = parts(raw, schema), parts(raw, MEASURE)
    for kind, name in sorted(found.keys() | due.keys()):
        if found.get((kind, name)) != due.get((kind, name)):
            message = (
                f"the database is not whole: the {kind} {name} is not as this program makes it"
            )
            raise InvalidError(message, hint="restore from another backup")


def absent(raw: Connection[Any]) -> None:
    """Make room for the measure: one that was left behind is nobody's."""
    raw.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(MEASURE)))
