"""Which part of the project imports which: scripts, then packages, then the ground floor."""

import ast
import itertools

import pytest
from conftest import ROOT

PACKAGES = ("partitioning", "learning", "performance")
SCRIPTS = [path for path in ROOT.glob("*.py") if "pipeline" in path.read_text(encoding="utf-8")]


def imported(path):
    """Return the names that a file imports anywhere in it, with those taken out of modules (`pipeline.files`)."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def starts(names, *prefixes):
    return sorted(name for name in names for prefix in prefixes if f"{name}.".startswith(f"{prefix}."))


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").glob("*.py")), ids=lambda path: path.name)
def test_the_ground_floor_imports_no_package_and_no_script(path):
    assert starts(imported(path), *(f"pipeline.{name}" for name in PACKAGES), *(one.stem for one in SCRIPTS)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_no_other_package_and_no_argparse(package):
    others = [f"pipeline.{name}" for name in PACKAGES if name != package]
    for path in (ROOT / "pipeline" / package).rglob("*.py"):
        unwanted = starts(imported(path), *others, "argparse", "pipeline.command_line", *(one.stem for one in SCRIPTS))
        assert unwanted == [], path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_late_in_main_or_at_the_top_of_a_step_of_it(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for step in (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name != "main"):
        _docstring, *lines = step.body
        after_imports = itertools.dropwhile(is_import, lines)
        assert not any(is_import(node) for line in after_imports for node in ast.walk(line)), step.name


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))
