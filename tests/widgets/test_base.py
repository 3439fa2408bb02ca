"""What every widget shares stands once, and joins with each widget into one module."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from transferlib.errors import UserError
from transferlib.widgets import base

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ("dial", "domain_gap", "freeze_depth", "label_budget", "layer_explorer", "spring", "two_spaces")


def own_lines(path):
    """Lines with three letters or more that are neither a comment nor an import, without their indent."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    skip = ("//", "/*", "*", "import ", "} from", "export default")
    return [line for line in lines if len(re.findall(r"\w", line)) > 2 and not line.startswith(skip)]


def test_fewer_than_a_tenth_of_the_lines_of_javascript_stand_in_two_files():
    files = {path.stem: own_lines(path) for path in base.HERE.glob("*.js")}
    assert set(files) == {"kit", "hydrate", *WIDGETS}
    in_files = Counter(line for lines in files.values() for line in set(lines))
    twice = [line for lines in files.values() for line in lines if in_files[line] > 1]
    assert len(twice) < 0.1 * sum(map(len, files.values())), Counter(twice).most_common(8)


def test_no_rule_of_style_stands_in_two_sheets():
    files = {path.stem: set(own_lines(path)) for path in base.HERE.glob("*.css")}
    in_files = Counter(line for lines in files.values() for line in lines)
    assert [line for line, count in in_files.items() if count > 1] == []


def test_no_sheet_leaves_a_brace_open_since_sheets_are_joined():
    for path in base.HERE.glob("*.css"):
        depth = [0]
        for sign in re.sub(r"[^{}]", "", path.read_text(encoding="utf-8")):
            depth.append(depth[-1] + (1 if sign == "{" else -1))
        # A block in a block: rules in @media or @container, never @media in @media.
        assert depth[-1] == 0 and max(depth) <= 2, path.name


@pytest.mark.parametrize("name", WIDGETS)
def test_a_module_for_jupyterlab_needs_no_other_file(name):
    module = base.module(name)
    assert not re.search(r"^import ", module, flags=re.M)
    assert re.findall(r"^export .*", module, flags=re.M) == ["export default { render };"]
    assert module.startswith("const kit = (() => {") and "const {" in module and "} = kit;" in module


@pytest.mark.parametrize(
    "source",
    [
        "const a = 1;",
        'import { make } from "./other.js";\nexport default { render };',
        'import { make as m } from "./kit.js";\nexport default { render };',
        "export const a = 1;\nexport default { render };",
    ],
)
def test_what_cannot_be_joined_is_refused(source):
    with pytest.raises(ValueError, match="one 'export default'"):
        base.joined("x", source)


def test_every_name_a_widget_imports_is_one_the_kit_exports():
    exported = set(base.EXPORT.findall((base.HERE / "kit.js").read_text(encoding="utf-8")))
    for name in WIDGETS:
        (names,) = base.IMPORT.findall((base.HERE / f"{name}.js").read_text(encoding="utf-8"))
        assert set(re.findall(r"\w+", names)) <= exported, name


def test_a_table_holds_words_as_text():
    page = base.table("<i>", ["<b>"], [["<u>", "<s>"]])
    assert not re.search(r"<[ibus]>", page)
    assert "<td>&lt;s&gt;</td>" in page


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1"])
def test_a_number_that_cannot_be_drawn_gets_one_sentence(value):
    with pytest.raises(UserError, match=r"^x holds a number that is not finite: try y\.$"):
        base.check_finite("x", [1.0, value], ": try y")


def test_without_npm_the_linter_says_so_in_one_sentence(tmp_path):
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(Path("/bin") / tool if (Path("/bin") / tool).exists() else Path("/usr/bin") / tool)
    script = ROOT / "scripts" / "lint_js.sh"
    done = subprocess.run([tmp_path / "sh", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The JavaScript was not linted: ") and done.stdout.count("\n") == 1


def test_the_lock_of_the_linter_holds_no_address_and_a_sum_for_each_package():
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text and '"resolved"' not in text
    assert text.count('"integrity": "sha512-') == text.count('"node_modules/')
