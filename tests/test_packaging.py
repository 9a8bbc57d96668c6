"""What pyproject.toml says of the package agrees with the code."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import dbgkit

ROOT = Path(__file__).resolve().parent.parent

# Imported only where the user's own work has brought them: values are theirs to make.
OF_THE_USER = {"numpy", "pandas", "pyarrow"}
# Imported only as pytest loads the plugin.
OF_THE_HOST = {"pytest"}
# Read by type checkers, which bring it; nothing imports it.
OF_CHECKERS = {"typing_extensions"}
# Some distributions have another name than what is imported from them.
RENAMED = {"yaml": "pyyaml"}


def project():
    """The project table of pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib is in Python from 3.11 on")
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def imported():
    """Names of the libraries that dbgkit imports, anywhere, and in which file."""
    found = {}
    for path in sorted(Path(dbgkit.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            for name in names:
                found.setdefault(name.partition(".")[0], path.name)
    others = {*OF_THE_USER, *OF_THE_HOST, *OF_CHECKERS}
    others |= {"dbgkit", *sys.stdlib_module_names}
    return {name: file for name, file in found.items() if name not in others}


def distribution(name):
    """The distribution that a module comes from, in lower case."""
    return RENAMED.get(name, name).lower()


def declared():
    """Each declared dependency with its bounds."""
    found = {}
    for each in project()["dependencies"]:
        name, bound, version = each.partition(">=")
        found[name.strip()] = bound + version
    return found


def test_what_is_imported_is_declared_and_nothing_else():
    names = {distribution(name): file for name, file in imported().items()}
    assert set(names) == set(declared()), names


def test_each_dependency_has_a_lower_bound_and_no_upper_one():
    for name, bound in declared().items():
        assert bound.startswith(">="), name
        assert not set(bound) & set("<~!,"), name


def test_distributions_have_the_names_that_are_taken_for_granted():
    known = packages_distributions()  # before Python 3.11, not of all
    for name in sorted(set(imported()) & set(known)):
        assert distribution(name) in [each.lower() for each in known[name]], name


def test_the_classifiers_begin_with_the_oldest_python():
    minors = [
        int(each.rpartition(".")[2])
        for each in project()["classifiers"]
        if each.startswith("Programming Language :: Python :: 3.")
    ]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert project()["requires-python"] == f">=3.{minors[0]}"
    assert sys.version_info[1] in minors


def test_the_sdist_has_what_its_own_tests_read():
    tomllib = pytest.importorskip("tomllib", reason="tomllib is in Python from 3.11 on")
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packed = whole["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in packed:
        assert (ROOT / name).exists(), name
