import functools
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transferlib.runs import memory, provenance
from transferlib.runs.provenance import code_key, function_keys, imports, meaning


def function_key(function: Callable[..., Any]) -> str:
    """The key of a function's code."""
    return function_keys(function)[1]  # type: ignore[arg-type]


def libraries_key(function: Callable[..., Any]) -> str:
    """The key with the versions of the libraries."""
    return function_keys(function)[0]  # type: ignore[arg-type]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy-like package: probes imports errors, training stands alone."""
    for name, text in {
        "errors.py": "class UserError(ValueError): ...\n",
        "probes.py": "from transferlib.errors import UserError\nLAMBDA = 1\n",
        "training.py": "STEPS = 3\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    _forget()
    yield tmp_path
    _forget()


def _forget() -> None:
    provenance._file.cache_clear()
    provenance._module_part.cache_clear()


def test_comments_and_layout_do_not_change_the_key() -> None:
    assert code_key("x = 1  # one\n") == code_key("x  =  1\n\n# more\n")
    assert code_key("x = 1") != code_key("x = 2")


def test_a_docstring_is_no_meaning_but_any_other_text_is() -> None:
    said, unsaid = (
        '"""Doc."""\nclass A:\n    "doc"\n    def f(self):\n        "doc"\n        return "doc"\n',
        "class A:\n    def f(self): return 'doc'\n",
    )
    found = [meaning(text, docstrings=False) for text in (said, unsaid, unsaid.replace("'doc'", "'other'"))]
    assert found[0] == found[1] != found[2]
    assert meaning(said) != meaning(unsaid)  # a cell of a page that is a text shows it, and a formatter must keep it
    assert code_key("'one'") != code_key("'two'")


def test_what_keeps_results_is_not_in_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from transferlib.backbones.features import features
    from transferlib.runs.sweep import sweep

    def uses() -> object:
        return features, sweep

    def key(edited: str) -> str:
        part = provenance._module_part
        with monkeypatch.context() as patch:
            patch.setattr(
                provenance, "_module_part", lambda name: ("new" * (name == edited) + part(name)[0], part(name)[1])
            )
            return function_key(uses)

    before = function_key(uses)
    assert all(key(name) == before for name in provenance.KEEPERS)
    assert key("transferlib.backbones.images") != before
    assert provenance.code_key("import transferlib.runs.sweep") != provenance.code_key("import transferlib.runs.cache")


def test_an_attribute_is_no_global() -> None:
    class Holder:
        SIZE = 1

    def reads(holder: type[Holder]) -> int:
        return holder.SIZE

    def inner() -> list[int]:
        return [SIZE for _ in range(2)]

    assert "SIZE" not in provenance._names(reads.__code__)
    assert "SIZE" in provenance._names(inner.__code__)


def test_the_key_follows_imports_of_imports_and_nothing_else(package: Path) -> None:
    chapter = "from transferlib import probes\n"
    before = code_key(chapter)
    (package / "training.py").write_text("STEPS = 4\n")
    _forget()
    assert code_key(chapter) == before
    (package / "errors.py").write_text("class UserError(RuntimeError): ...\n")
    _forget()
    assert code_key(chapter) != before


def test_the_key_covers_the_table_beside_a_module(package: Path) -> None:
    before = code_key("import transferlib.probes")
    (package / "probes.json").write_text("{}")
    _forget()
    assert code_key("import transferlib.probes") != before


def test_imports_finds_each_way_to_name_a_module() -> None:
    lines = [
        "from transferlib import linear_probe",
        "from transferlib.course import chapter",
        "import transferlib.runs.sweep",
    ]
    source = "\n".join([*lines, "from transferlib.course.claims import html", "import os"])
    assert imports(source) == {
        "transferlib.course",
        "transferlib.tuning.strategies",
        "transferlib.course.chapter",
        "transferlib.runs.sweep",
        "transferlib.course.claims",
    }


SIZE = 3


def _helper() -> int:
    return SIZE


def _uses_helper() -> list[int]:
    return [_helper() for _ in range(2)]


def test_function_key_sees_constants_behind_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    before = function_key(_uses_helper)
    assert before == function_key(_uses_helper)
    monkeypatch.setitem(_helper.__globals__, "SIZE", 4)
    assert function_key(_uses_helper) != before


def test_function_key_sees_what_a_decorator_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def plus_one(function: Callable[[], int]) -> Callable[[], int]:
        @functools.wraps(function)
        def more() -> int:
            return function() + 1

        return more

    def plus_two(function: Callable[[], int]) -> Callable[[], int]:
        @functools.wraps(function)
        def more() -> int:
            return function() + 2

        return more

    assert len({function_key(way(_helper)) for way in (plus_one, plus_two, memory.cache)}) == 3
    before = function_key(memory.cache(_helper))
    assert before == function_key(memory.cache(_helper))
    part = provenance._module_part
    monkeypatch.setattr(provenance, "_module_part", lambda name: ("edited" * name.endswith("memory"), part(name)[1]))
    assert function_key(memory.cache(_helper)) != before


def _times(value: int) -> int:
    return SIZE * value


def _scaled(function: Callable[[], int]) -> Callable[[], int]:
    @functools.wraps(function)
    def more() -> int:
        return _times(function())

    return more


def test_function_key_sees_what_a_decorator_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    def one() -> int:
        return 1

    before = function_key(_scaled(one)), function_key(memory.cache(_helper))
    assert before[0] != function_key(_scaled(_scaled(one)))
    monkeypatch.setitem(globals(), "SIZE", 4)  # used by the decorator itself, and by what another one decorates
    assert function_key(_scaled(one)) != before[0]
    assert function_key(memory.cache(_helper)) != before[1]


def test_function_key_sees_closed_over_arrays() -> None:
    def make(array: np.ndarray):  # type: ignore[no-untyped-def]
        def run() -> float:
            return float(array.sum())

        return run

    assert function_key(make(np.zeros(3))) != function_key(make(np.ones(3)))


def test_facts_name_versions_and_commit() -> None:
    facts = provenance.facts()
    assert facts["versions"]["torch"][0].isdigit()
    assert facts["commit"]
    assert facts["processor"] and "\n" not in facts["processor"]


def test_function_key_of_a_tensor_is_the_same_in_every_process(tmp_path: Path) -> None:
    script = tmp_path / "keys.py"
    script.write_text(
        "import sys, torch\nfrom transferlib.runs.provenance import function_keys\n"
        "torch.randn(int(sys.argv[1]))\nMASK, MORE = torch.ones(3), {'a': [torch.zeros(2)]}\n"
        "def uses(): return MASK, MORE\nprint(function_keys(uses))\n"
    )
    runs = [subprocess.run([sys.executable, script, n], capture_output=True, text=True, check=True) for n in "17"]
    assert runs[0].stdout == runs[1].stdout != ""


def test_function_key_sees_closed_over_tensors() -> None:
    def make(table: torch.Tensor) -> Callable[[], torch.Tensor]:
        return lambda: table

    assert function_key(make(torch.zeros(3))) != function_key(make(torch.ones(3)))


def test_another_version_of_a_library_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        provenance.library.cache_clear()
        provenance._version.cache_clear()
        return [provenance.modules_key("transferlib.errors"), *map(libraries_key, (_helper, _uses_helper))]

    before = keys()
    assert before == keys()
    for name in provenance.VERSIONS:
        monkeypatch.setattr(
            provenance, "version", lambda asked, name=name: "0.0.1" if asked == name else version(asked)
        )
        assert all(new != old for new, old in zip(keys(), before, strict=True)), name
    monkeypatch.setattr(provenance, "version", version)
    provenance._version.cache_clear()


def test_a_library_that_a_cell_uses_is_in_its_key_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import joblib

    def uses() -> str:
        return str(joblib.hash(1))

    provenance.library.cache_clear()
    before = libraries_key(uses)
    monkeypatch.setattr(joblib, "__version__", "0.0.1")
    provenance.library.cache_clear()
    assert libraries_key(uses) != before
    provenance.library.cache_clear()
