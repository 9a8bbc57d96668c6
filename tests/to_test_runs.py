"""Tests that ``to_test`` has written, run as a user would run them."""

from __future__ import annotations

import re
import subprocess
import sys

from commands import environment


def run_tests(folder, *names):
    """Outcomes by the name of the file, in a fresh pytest, and what that printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    # Edits within a second, of equal length, would go unseen by what is cached.
    env = environment(
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_ADDOPTS="",
        PYTHONDONTWRITEBYTECODE="1",
    )
    done = subprocess.run(
        [*command, "--noconftest", "--rootdir", str(folder), *map(str, names)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=env,
    )
    found = re.findall(r"^(PASSED|FAILED) (?:\S*/)?(\w+)\.py", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    return {name: outcome for outcome, name in found}, done.stdout


def mend(path, before, after):
    """Mend a function by an edit of its text."""
    text = path.read_text("utf-8")
    assert before in text, text
    path.write_text(text.replace(before, after), "utf-8")


def check_mended(path, before, after, place=None):
    """A test fails; once the text of its function is edited, it passes."""
    outcomes, said = run_tests(path.parent, path.name)
    assert outcomes == {path.stem: "FAILED"}, said
    mend(place or path, before, after)
    outcomes, said = run_tests(path.parent, path.name)
    assert outcomes == {path.stem: "PASSED"}, said
