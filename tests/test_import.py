"""Importing dbgkit: what it brings in, what it costs, what it offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dbgkit


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_brings_in_nothing_heavy():
    heavy = "{'dask', 'distributed', 'IPython', 'rich', 'pdb', 'click', 'typing'}"
    # What the interpreter had loaded before is not ours.
    code = (
        "import sys; before = set(sys.modules); import dbgkit; "
        f"print((set(sys.modules) - before) & {heavy})"
    )
    assert run(code) == "set()"


def test_hooks_nothing():
    code = (
        "import sys, threading; hooks = lambda: (sys.excepthook, sys.displayhook, "
        "sys.breakpointhook, threading.excepthook, list(sys.meta_path), "
        "list(sys.path_hooks)); a = hooks(); import dbgkit; print(hooks() == a)"
    )
    assert run(code) == "True"


def test_offers_what_it_names():
    code = (
        "import dbgkit; print([n for n in dbgkit.__all__ "
        "if not hasattr(dbgkit, n) or n not in dir(dbgkit)])"
    )
    assert run(code) == "[]"


def test_shows_public_names_alone():
    assert dir(dbgkit) == sorted(dbgkit.__all__)


@pytest.mark.parametrize("verb", dbgkit.__all__)
def test_no_module_has_the_name_of_what_is_public(verb):
    if verb not in ("errors", "__version__"):
        assert not (Path(dbgkit.__file__).parent / f"{verb}.py").exists()
        assert not (Path(dbgkit.__file__).parent / verb).exists()


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = dbgkit.nonsense


def test_the_version_is_a_version():
    assert dbgkit.__version__[0].isdigit()
