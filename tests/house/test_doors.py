"""Rooms have one shape, and are entered by their doors."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import (
    LAYERS,
    PACKAGE,
    PARTS,
    ROOMS,
    ROOT,
    Source,
    contract,
    door,
    each,
    rooms_named_in,
    sources,
)
from tests.promises import promise

OF_ROOMS = [s for s in sources(LAYERS) if s.room is not None]
DOOR_LINES = 40

# §3 of the design: what a part may import beside the standard library, pydantic and its own room.
MAY = {
    "__init__": (),
    "model": ("scoped_mcp.kernel", "scoped_mcp.spine.declare", "scoped_mcp.spine.entity"),
    "tables": ("scoped_mcp.storage.metadata", "scoped_mcp.storage.types", "sqlalchemy"),
    "logic": (
        "scoped_mcp.kernel",
        "scoped_mcp.spine.declare",
        "scoped_mcp.spine.entity",
        "scoped_mcp.spine.ports",
    ),
    "store": ("scoped_mcp.kernel", "scoped_mcp.spine", "scoped_mcp.storage", "sqlalchemy"),
    "operations": ("scoped_mcp.kernel", "scoped_mcp.spine", "sqlalchemy"),
    "worker": ("",),
}
OWN = {
    "__init__": PARTS,
    "model": (),
    "tables": (),
    "logic": ("model",),
    "store": ("model", "tables", "logic"),
    "operations": ("model", "tables", "logic", "store"),
    "worker": PARTS,
}
EVERYWHERE = ("pydantic", "pydantic_core")


def test_a_room_has_no_other_file() -> None:
    strange = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (LAYERS / room).iterdir()
        if path.stem not in {"__init__", *PARTS, "__pycache__"}
    ]
    assert strange == []


def test_every_room_has_a_model_and_operations() -> None:
    for room in ROOMS:
        here = {path.stem for path in (LAYERS / room).iterdir()}
        assert {"__init__", "model", "operations"} <= here, room


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_promises_and_lists_and_does_nothing(room: str) -> None:
    source = Source(LAYERS / room / "__init__.py")
    assert ast.get_docstring(source.tree)
    kinds = {type(node) for node in source.tree.body[1:]}
    assert kinds <= {ast.ImportFrom, ast.Assign, ast.If}, kinds
    assert door(room), "no __all__"


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_fits_on_a_screen(room: str) -> None:
    lines = Source(LAYERS / room / "__init__.py").text.splitlines()
    code = [line for line in lines if line.strip() not in {"", "(", ")", "[", "]"}]
    names = [line for line in code if line.startswith("    ")]
    assert len(code) - len(names) <= DOOR_LINES


@promise("rooms.doors")
@each(sources())
def test_rooms_are_entered_by_their_doors(source: Source) -> None:
    doors: dict[str, str] = {}
    for module, name, known_as in source.imports():
        parts = module.split(".")
        if parts[:2] != ["scoped_mcp", "layers"]:
            continue
        if len(parts) == 2:
            if name in ROOMS and name != source.room:
                doors[known_as] = name
        elif parts[2] != source.room:
            assert len(parts) == 3, f"{source} goes round the door: {module}"
            assert name in door(parts[2]), f"{source} takes {name}, not shown by {parts[2]}"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            room = doors.get(node.value.id)
            assert room is None or node.attr in door(room), f"{source}: {room}.{node.attr}"


@promise("rooms.doors")
@each(OF_ROOMS)
def test_a_part_imports_what_it_may(source: Source) -> None:
    room, part = source.room, source.part
    own = f"scoped_mcp.layers.{room}"
    for module, name, _ in source.imports():
        full = f"{module}.{name}" if module in {own, "scoped_mcp.layers"} else module
        if full.startswith((own + ".", own)) and (full == own or full[len(own)] == "."):
            inner = full.removeprefix(own).strip(".").partition(".")[0]
            allowed = inner == part or inner in OWN[part]
            assert allowed, f"{source} imports its room's {inner or 'door'}"
        elif module.startswith(("scoped_mcp", "sqlalchemy")):
            if full.startswith("scoped_mcp.layers."):
                assert part in {"store", "operations", "worker", "model"}, f"{source}: {full}"
                continue
            whole = f"{module}.{name}"
            assert whole.startswith(MAY[part]), f"{source} imports {whole}"


@each([s for s in OF_ROOMS if s.part == "logic"])
def test_logic_is_pure(source: Source) -> None:
    imported = {module.partition(".")[0] for module, _, _ in source.imports()}
    assert not imported & {"os", "time", "secrets", "random", "sqlalchemy", "asyncio", "pathlib"}
    calls = {ast.unparse(n.func) for n in source.nodes if isinstance(n, ast.Call)}
    assert not calls & {"datetime.now", "datetime.today", "open", "print"}


def test_the_order_of_the_layers_is_said_the_same_everywhere() -> None:
    drawn = rooms_named_in(Source(LAYERS / "__init__.py").text)
    held = [name.strip("()") for name in contract("rooms")["layers"]][::-1]
    assert drawn == held == [room for room in held if room in ROOMS]
    assert set(drawn) == set(ROOMS)
    told = rooms_named_in((ROOT / "README.md").read_text(encoding="utf-8"))
    assert told in ([], drawn), "README"


def test_the_floors_are_said_the_same_everywhere() -> None:
    held = [name.strip("()") for name in contract("floors")["layers"]]
    map_ = Source(PACKAGE / "__init__.py").tree
    words = [
        line.split()[0] for line in (ast.get_docstring(map_) or "").splitlines() if "  " in line
    ]
    assert [word for word in words if word in held] == [name for name in held if name in words]
    assert {"faces", "app", "layers", "spine", "storage", "kernel"} <= set(words)


def test_a_room_s_shape_is_a_contract_too() -> None:
    shape = contract("shape")
    assert {name.strip("()") for name in shape["layers"]} == set(PARTS)
    assert {name.rpartition(".")[2] for name in shape["containers"]} == set(ROOMS)
