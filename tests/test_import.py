"""Importing dbgkit: what it brings in, what it costs, what it offers."""

from __future__ import annotations

import os
import subprocess
import sys

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


@pytest.mark.parametrize("verb", ["locate", "replay"])
def test_a_verb_stays_a_verb_when_its_room_is_imported(verb):
    rooms = "import dbgkit.locate, dbgkit.replay, dbgkit.api"
    code = f"import dbgkit; {rooms}; print(callable(dbgkit.{verb}))"
    assert run(code) == "True"
    code = f"{rooms}; from dbgkit import {verb}; print(callable({verb}))"
    assert run(code) == "True"


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = dbgkit.nonsense


def test_the_version_is_a_version():
    assert dbgkit.__version__[0].isdigit()
