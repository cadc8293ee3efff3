"""Which part of the project imports which: scripts, then packages, then the ground floor."""

import ast

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
def test_a_script_imports_what_is_slow_in_main_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Import, ast.ImportFrom))
    }
    assert lazy <= {"main"}
