"""Chapters that say they read one kept result have the same code for it, word for word."""

import ast
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("task", "cut", "pick", "seen", "probed", "layer_scored", "trained", "lr_scored", "answered")
CONSTANTS = ("TASKS", "TESTED", "PIXELS", "NATIVE", "DRAWS", "SEEDS", "TUNING", "NAMES", "BUDGETS", "STEPS", "RATES")


def meanings(name: str) -> dict[str, str]:
    """The top-level functions and constants of a chapter, without comments and layout."""
    found: dict[str, str] = {}
    for cell in jupytext.read(ROOT / "notebooks" / f"{name}.md").cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else []:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = ast.dump(node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    found |= {each.id: ast.dump(node.value) for each in names if isinstance(each, ast.Name)}
    return found


@pytest.mark.parametrize("name", [*FUNCTIONS, *CONSTANTS])
def test_chapter_03_measures_its_shared_networks_with_the_code_of_chapter_01(name: str) -> None:
    first, third = meanings("01_head_start"), meanings("03_probe_or_fine_tune")
    assert first[name] == third[name]
