"""Ids are read exactly as they were shown; URNs name things for ever."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from scoped_mcp.kernel.ids import AnyId, Id, ObjectId, PrincipalId, parse_urn, urn
from tests.promises import promise

entropy = st.binary(min_size=10, max_size=10)
kinds = st.sampled_from(sorted(Id.by_prefix.values(), key=lambda kind: kind.prefix))
GOOD = "obj_abcdefghij234567"


@given(kinds, entropy)
def test_what_is_made_is_read_back(kind: type[Id], drawn: bytes) -> None:
    made = kind.of(drawn)
    assert kind.parse(made) == made
    assert AnyId.parse(made) == made
    assert len(made) == len(kind.prefix) + 17


@promise("ids.shape")
@given(entropy, entropy)
def test_eighty_bits_are_all_kept(one: bytes, other: bytes) -> None:
    assert (ObjectId.of(one) == ObjectId.of(other)) == (one == other)


@given(entropy)
def test_the_body_is_rfc_4648_base_32_in_lower_case(drawn: bytes) -> None:
    assert ObjectId.of(drawn) == f"obj_{base64.b32encode(drawn).decode().lower()}"


WRONG = [
    GOOD + " ",
    " " + GOOD,
    GOOD + "\n",
    GOOD.upper(),
    "Obj_" + GOOD[4:],
    "prn_" + GOOD[4:],
    "obj-" + GOOD[4:],
    "obj__" + GOOD[4:],
    GOOD[4:],
    "_" + GOOD[4:],
    "",
    "obj_",
    GOOD[:-1],
    GOOD + "a",
    GOOD[:-1] + "1",
    GOOD[:-1] + "8",
    GOOD[:-1] + "\u0131",
    "obj_" + "\uff41" * 16,
]


@promise("ids.shape")
@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_is_trimmed_folded_or_guessed(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an id"):
        ObjectId.parse(wrong)


@pytest.mark.parametrize("wrong", [w for w in WRONG if not w.startswith("prn_")])
def test_an_id_of_any_kind_is_as_strict(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an id"):
        AnyId.parse(wrong)


def test_an_unknown_prefix_names_nothing() -> None:
    with pytest.raises(ValueError, match="expected an id"):
        AnyId.parse("zzz_" + GOOD[4:])


@given(st.text() | st.from_regex(r"obj_[a-z2-7]{15,17}\s?"))
def test_no_text_breaks_the_reader(text: str) -> None:
    exact = re.fullmatch(r"obj_[a-z2-7]{16}", text) is not None
    try:
        assert ObjectId.parse(text) == text
    except ValueError:
        assert not exact
    else:
        assert exact


def test_a_prefix_has_one_owner() -> None:
    with pytest.raises(TypeError, match="taken"):
        type("Other", (Id,), {}, prefix="obj")


def test_a_model_validates_and_shows_plain_strings() -> None:
    class Holder(BaseModel):
        id: ObjectId
        any: AnyId

    held = Holder.model_validate_json(f'{{"id": "{GOOD}", "any": "{GOOD}"}}')
    assert type(held.id) is ObjectId
    assert held.model_dump(mode="json") == {"id": GOOD, "any": GOOD}
    assert Holder.model_json_schema()["properties"]["id"]["type"] == "string"
    for wrong in (5, GOOD.upper(), "prn_" + GOOD[4:]):
        with pytest.raises(ValidationError):
            TypeAdapter(ObjectId).validate_python(wrong)


@promise("urn.parts")
def test_a_urn_is_taken_apart_as_it_was_put_together() -> None:
    organisation = Id.by_prefix["org"].of(bytes(10))
    name = urn("object", organisation, GOOD)
    assert parse_urn(name) == ("object", organisation, GOOD, None)
    assert parse_urn(f"{name}@7") == ("object", organisation, GOOD, 7)


@pytest.mark.parametrize(
    "parts", [("", "o", "i"), ("k", "", "i"), ("k", "o", ""), ("a:b", "o", "i")]
)
def test_a_part_of_a_urn_is_neither_empty_nor_two(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="URN"):
        urn(*parts)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "scoped:k:o",
        "scoped:k:o:i:x",
        "other:k:o:i",
        "scoped::o:i",
        "scoped:k::i",
        "scoped:k:o:",
        "scoped:k:o:@1",
        "scoped:k:o:i@",
        "scoped:k:o:i@x",
        "scoped:k:o:i@-1",
        "scoped:k:o:i@\u0661",
        "scoped:k:o:i@\u00b2",
        "scoped:k:o:i@1@2",
    ],
)
def test_what_is_not_a_urn_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_urn(wrong)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader_of_urns(text: str) -> None:
    try:
        kind, organisation, name, version = parse_urn("scoped:" + text)
    except ValueError:
        return
    tail = "" if version is None else text.rpartition("@")[2]
    assert text == f"{kind}:{organisation}:{name}" + ("" if version is None else f"@{tail}")


def test_kinds_of_ids_differ_in_type() -> None:
    assert {type(PrincipalId.of(bytes(10))), type(ObjectId.of(bytes(10)))} == {
        PrincipalId,
        ObjectId,
    }
