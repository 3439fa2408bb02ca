"""Workflows, citation and release list: they name what exists, ask for little, and pass their own checkers."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import hs_colab  # noqa: E402

FLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M))
SETTINGS = set(re.findall(r"^([A-Z]+)\s*[?:]=", MAKEFILE, flags=re.M))
KNOWN = {"checkout": "v4", "setup-python": "v5", "upload-artifact": "v4"}


def calls(text: str) -> list[tuple[str, list[str]]]:
    """(target, settings) of each ``make`` in a text."""
    found = re.findall(r"(?:^|[`;&\s])make((?: [\w-]+(?:=[\w.,/-]+)?)+)", text)
    parts = [[word.partition("=") for word in words.split()] for words in found]
    return [
        (target, [name for name, given, _ in part if given])
        for part in parts
        for target, is_setting, _ in part
        if not is_setting
    ]


def runs(path: Path) -> list[dict[str, object]]:
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [step for job in body["jobs"].values() for step in job["steps"]]


def test_the_four_workflows_are_there() -> None:
    assert [path.stem for path in FLOWS] == ["book", "gpu", "nightly", "test"]


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_each_target_that_is_called_exists(path: Path) -> None:
    made = [call for step in runs(path) for call in calls(str(step.get("run", "")))]
    assert made, "a workflow that calls no make does work of its own"
    for target, settings in made:
        assert target in TARGETS, f"the Makefile has no target {target!r}"
        assert set(settings) <= SETTINGS, f"the Makefile has no setting among {settings}"


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little(path: Path) -> None:
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert body["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in body[True]  # YAML reads the key "on" as true
    for name, job in body["jobs"].items():
        assert job["timeout-minutes"] <= 360
        assert "permissions" not in job or (path.stem, name) == ("book", "book")
    for step in runs(path):
        action, _, tag = str(step.get("uses", "actions/checkout@v4")).removeprefix("actions/").partition("@")
        assert KNOWN.get(action) == tag, f"{step} is none of the known actions"
        if action == "checkout" and "uses" in step:
            assert step["with"] == {"persist-credentials": False}
        # What a stranger may write, such as the name of a branch, never reaches a shell.
        assert "${{" not in str(step.get("run", ""))


def test_the_tests_run_on_the_pythons_that_pyproject_allows() -> None:
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == lowest and matrix["os"] == ["ubuntu-latest", "macos-latest"]


def test_actionlint_finds_nothing() -> None:
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed: the workflows are checked by the tests above only")
    done = subprocess.run(["actionlint", *map(str, FLOWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_citation_is_complete_and_has_the_version_of_the_package() -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cff["cff-version"] == "1.2.0" and cff["type"] == "software" and cff["message"] and cff["abstract"]
    assert cff["version"] == project["version"] and cff["license"] == project["license"]
    assert all({"name"} <= set(author) or {"family-names", "given-names"} <= set(author) for author in cff["authors"])
    allowed = {"cff-version", "message", "title", "type", "license", "version", "abstract", "keywords", "authors",
               "date-released", "repository-code", "url", "doi", "preferred-citation"}  # fmt: skip
    assert set(cff) <= allowed and len(set(cff["keywords"])) == len(cff["keywords"])


def test_the_release_list_names_targets_that_exist() -> None:
    text = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z-]+)", text)
    assert len(named) > 10 and set(named) <= TARGETS
    assert all((ROOT / name).is_file() for name in re.findall(r"`(tests/[\w/.]+|environment\.yml|NOTICE)`", text))


def test_colab_gets_one_cell_and_only_for_an_address_on_github(tmp_path: Path) -> None:
    assert hs_colab.address("https://github.com/a/b") and not hs_colab.address("https://github.com/a/b;rm -r /")
    assert not hs_colab.address("") and not hs_colab.address("https://example.org/a/b")
    notebook = tmp_path / "06.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# é"}], "nbformat": 4}))
    for _ in range(2):
        hs_colab.prepare(notebook, "https://github.com/a/b", "main")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert [cell["cell_type"] for cell in cells] == ["code", "markdown"] and cells[1]["source"] == "# é"
    source = "".join(cells[0]["source"])
    assert "--branch main https://github.com/a/b {HOME}" in source and 'f"{HOME}/book/record"' in source
    from IPython.core.inputtransformer2 import TransformerManager

    plain = TransformerManager().transform_cell(source)
    space = {"get_ipython": None}
    exec(compile(plain, "cell", "exec"), space)  # elsewhere than on Colab it does nothing
    assert "HOME" not in space
