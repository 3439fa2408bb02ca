"""The house: imports point down, no circle, a folder's ``__init__.py`` is a docstring, tests mirror the code."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "transferlib"
# From the ground up: a room imports itself and what stands in a lower line.
FLOORS = (
    ("errors", "moved"),
    ("runs", "datasets"),
    ("backbones", "course"),
    ("tuning", "peft", "continual", "widgets", "zeroshot", "incontext", "multitask", "meta", "preference"),
    ("domains",),
    ("own_data",),
    ("__main__",),
)
TECHNIQUES = {"backbones", "datasets", "tuning", "peft", "continual", "domains",
              "zeroshot", "incontext", "multitask", "meta", "preference"}  # fmt: skip


def name(path: Path) -> str:
    """``transferlib/peft/lora.py`` → ``transferlib.peft.lora``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str) -> set[str]:
    """The package's modules that ``source`` imports anywhere, also inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inner or {node.module}
    return {module for module in found if module.split(".")[0] == "transferlib"}


ARROWS = {module: imported(path.read_text(encoding="utf-8")) - {module} for module, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_stands_on_exactly_one_floor() -> None:
    rooms = sorted({room(module) for module in MODULES} - {""})
    assert rooms == sorted(r for floor in FLOORS for r in floor)


def test_imports_only_point_down() -> None:
    floor = {r: height for height, rooms in enumerate(FLOORS) for r in rooms}
    up = [
        f"{module} imports {other}"
        for module, others in ARROWS.items()
        for other in sorted(others)
        if room(module) and room(other) and floor[room(other)] > floor[room(module)]
    ]
    assert up == []


def test_no_technique_imports_the_course() -> None:
    wrong = [
        module for module, others in ARROWS.items() if room(module) in TECHNIQUES and "course" in map(room, others)
    ]
    assert wrong == []


def test_no_circle_of_rooms_or_of_modules() -> None:
    between: dict[str, set[str]] = {}
    for module, others in ARROWS.items():
        between.setdefault(room(module), set()).update(room(o) for o in others if room(o) and room(o) != room(module))
    for arrows in (ARROWS, between):
        left = {node: set(targets) for node, targets in arrows.items()}
        while free := [node for node, targets in left.items() if not targets & set(left)]:
            for node in free:
                del left[node]
        assert left == {}


def test_a_rooms_init_is_one_docstring() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1 and ast.get_docstring(ast.Module(body, [])), path


def test_tests_mirror_the_package() -> None:
    """A file of tests in a room's folder is about modules of that room."""
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        if path.parent.name not in {m.split(".")[1] for m in MODULES if m.count(".") == 2}:
            continue
        used = {room(module) for module in imported(path.read_text(encoding="utf-8"))}
        assert path.parent.name in used, f"{path.relative_to(ROOT)} imports nothing of {path.parent.name}"
