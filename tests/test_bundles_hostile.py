"""Files that somebody made to do harm: nothing runs, nothing local is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_files import write_bundle
from hostile_bundles import ESCAPES, OPENED, REFUSED, VALUES

import dbgkit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it makes pipes")

CHILD = Path(__file__).with_name("opening_child.py")
SECRET = "what is held here only"
SECONDS = 1.0  # to open one; nothing else is bounded so tightly
OURS = str(Path(dbgkit.__file__).parent)
KILOBYTES = 100_000
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200b\u202e\u2066\ufeff\ud800-\udfff]"
    r"|\x1b(?!\[[0-9;]*m)"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    for name, (write, _) in REFUSED.items():
        write(files / name)
    for name, write in OPENED.items():
        write(files / name)
    write_bundle(files / "a_good_one")
    return files


@pytest.fixture(scope="module", params=["", "ipython"], ids=["pdb", "ipython"])
def told(request, files, tmp_path_factory):
    """What became of each file, in a process of its own."""
    here = tmp_path_factory.mktemp("here")
    (here / "local.py").write_text(f"{SECRET!r}\n" * 20)
    (here / ".pdbrc").write_text("open('rc-ran.txt', 'w')\n!open('rc-ran.txt', 'w')\n")
    os.mkfifo(here / "pipe.py")
    found = subprocess.run(
        [sys.executable, str(CHILD), str(files), *filter(None, [request.param])],
        cwd=here,
        env={**os.environ, "HOME": str(here), "PYTHONBREAKPOINT": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr[-3_000:]
    left = {path.name for path in here.iterdir()}
    assert left - {".ipython", ".cache", ".config", "__pycache__"} == {
        "local.py",
        "pipe.py",
        ".pdbrc",
    }
    return json.loads(found.stdout)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_reason(told, name):
    _, why = REFUSED[name]
    if name == "missing":
        assert name not in told  # see test_bundles_opening
        return
    assert re.search(why, told[name]["error"]), told[name]["error"]
    assert told[name]["opening"] < SECONDS
    assert told[name]["kilobytes"] < KILOBYTES


@pytest.mark.parametrize("name", OPENED)
def test_it_is_opened_for_what_can_be_shown_of_it(told, name):
    assert told[name]["error"] == ""
    assert told[name]["opening"] < SECONDS
    assert told[name]["kilobytes"] < KILOBYTES


def test_nothing_is_read_run_or_imported(told):
    for name, found in told.items():
        for event, what in found["events"]:
            if event == "open":
                # By its number, once it is open; and what Python itself reads.
                own = what.isdigit() or name in what or what == "'<unknown>'"
                assert own or _is_of_python(what), (name, what)
            elif event == "exec":
                typed = what.endswith((" in <string>", " in <stdin>"))
                raised = what.startswith("('__stop__',) in ")
                assert typed or raised or _is_of_python(what), (name, what)
            else:
                assert event == "import", (name, event, what)
                assert what.partition(".")[0].strip("'") not in ("antigravity", "this")


def _is_of_python(text):
    """Whether a file is of Python, of a library, or ours: `pinfo` says what it is."""
    return any(root in text for root in {sys.prefix, sys.base_prefix, OURS})


def test_nothing_of_this_machine_is_shown(told):
    for name, found in told.items():
        assert SECRET not in "".join(found["shown"]), name
    shown = "".join(told["names_of_files"]["shown"])
    assert "held here" in shown  # as the file itself says
    assert "def getcwd" not in shown and "root:" not in shown


def test_what_a_terminal_obeys_is_escaped_everywhere(told):
    for name, found in told.items():
        for text in found["shown"]:
            unseen = UNSEEN.search(text)
            around = text[max(0, unseen.start() - 200) : unseen.end()] if unseen else ""
            assert not unseen, (name, around)
            assert "\x1b]" not in text and ESCAPES not in text
    assert r"\x1b]0;owned\x07" in "".join(told["escapes"]["shown"])


def test_a_page_has_none_of_its_tags(told):
    pages = [text for text in told["markup"]["shown"] if "<style" in text]
    assert "[bold red]" in pages[-1]
    for page in pages:
        assert "<script>" not in page and "<img" not in page


def test_what_is_recorded_is_shown_at_the_prompt(told):
    shown = "".join(told["a_good_one"]["shown"])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "job.py (as recorded)" in plain
    assert "import os" in plain  # by `l`: of the whole file
    assert "'y': 0" in plain
    assert told["a_good_one"]["whole"] == ["x", "y"]


def test_values_that_would_explode_stay_texts(told):
    found = told["values_that_explode"]
    assert found["whole"] == []
    shown = "".join(found["shown"])
    assert shown.count("<recorded thing: as text>") >= len(VALUES)
    assert 0 < len(told["many_values"]["whole"]) < 900
