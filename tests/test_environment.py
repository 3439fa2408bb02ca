"""Lock file, pyproject and environment.yml name the same versions, and no address."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from environment import environment, pins  # noqa: E402

LOCK = (ROOT / "requirements.lock").read_text()


def needs() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [need for need in map(Requirement, lines) if need.name != "transferlib"]


@pytest.mark.parametrize("need", needs(), ids=lambda need: need.name)
def test_each_requirement_is_pinned_to_a_version_it_allows(need: Requirement) -> None:
    found = re.findall(rf"^{re.escape(need.name.lower())}==([^\s;]+)", LOCK, flags=re.MULTILINE)
    assert found, f"{need.name} is not in requirements.lock: run `make lock`"
    assert all(need.specifier.contains(Version(version)) for version in found)


def test_environment_yml_is_what_the_lock_gives() -> None:
    text = (ROOT / "environment.yml").read_text()
    assert text == environment(LOCK), "run `make lock`"
    listed = yaml.safe_load(text)["dependencies"][-1]["pip"]
    for line in listed:
        if "==" in line:
            name, version = line.split("==")
            assert pins(LOCK)[name] == version


def test_no_file_of_the_lock_names_an_address() -> None:
    for text in (LOCK, (ROOT / "environment.yml").read_text(), (ROOT / "pyproject.toml").read_text()):
        assert "://" not in text and "--index" not in text and "--find-links" not in text
