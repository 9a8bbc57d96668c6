"""The source of code that travelled by value, in every form and every front end."""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from commands import ended, environment, in_process, start
from shells import Kernel, plain

import dbgkit
from dbgkit.source import named

FORMS = Path(__file__).with_name("source_forms.py")
NAMES = (
    "plain",
    "decorated",
    "closure",
    "called",
    "method",
    "static",
    "of_class",
    "helper",
    "generator",
    "comprehension",
    "lambdas",
    "partial",
    "coroutine",
    "property",
)
# Two lambdas stand on one line, a partial and a dict's entry on another.
MARKS = {"lambdas": "# lambdas", "partial": "# partial"}


def run_forms(command, *, text=None):
    """What the program of `source_forms` prints, run in one of its ways."""
    done = subprocess.run(
        [sys.executable, *command],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[-1].removeprefix("FOUND "))


WAYS = {
    "script": [str(FORMS)],
    "processes": [str(FORMS), "--processes"],
    "command": ["-c", FORMS.read_text()],
    "dbgkit run": ["-m", "dbgkit", "run", str(FORMS)],
    "module": ["-m", "source_forms"],
    "ipython": [
        "-m",
        "IPython",
        "--no-banner",
        "--simple-prompt",
        "-c",
        f"get_ipython().run_line_magic('run', {str(FORMS)!r})",
    ],
}


@pytest.fixture(scope="module")
def found_by():
    """The program's findings, by the way that it was run: each is run once."""
    kept = {}

    def find(way):
        if way not in kept:
            kept[way] = run_forms(WAYS[way])
        return kept[way]

    return find


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_each_form_shows_its_line(found_by, way, name):
    outcome, filename, line, notes = found_by(way)[name]
    assert outcome == "same"
    assert line.endswith(MARKS.get(name, f"# {name}"))
    if way == "command":
        assert filename == "<python -c>"
    else:
        assert os.path.samefile(filename, FORMS)
    assert not [note for note in notes if "edited" in note or "not known" in note]


def test_a_class_that_was_edited_since_stays_as_it_is(found_by):
    found = found_by("processes")
    for name in ("method", "property"):
        outcome, _, line, notes = found[f"edited {name}"]
        assert outcome == "same"
        assert line.endswith(f"# {name}")
    assert found["kept"]
    assert [note for note in notes if "class 'Model' was edited since" in note]


def test_a_program_from_standard_input_is_told_as_gone():
    found = run_forms(["-"], text=FORMS.read_text())
    outcome, _, line, notes = found["plain"]
    assert (outcome, line) == ("same", "")
    assert [note for note in notes if "came from standard input" in note]


# -- a terminal beside the job ---------------------------------------------------

JOB = """
from distributed import Client, LocalCluster, wait

def ratio(a, b):
    return a / b  # the line

def main():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False,
            protocol="tcp", dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(ratio, 1, 0, key="ratio-1")
        wait(future)
        print(cluster.scheduler_address, flush=True)
        input()

main()
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job that has failed, its script's path, and its scheduler's address."""
    folder = tmp_path_factory.mktemp("job")
    script = folder / "job.py"
    script.write_text(JOB)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    address = process.stdout.readline().strip()
    yield script, address
    process.communicate("\n", timeout=30)


@pytest.fixture
def moved(job):
    """The job, as if its script were on another machine."""
    script, address = job
    away = script.rename(script.with_suffix(".away"))
    linecache.clearcache()  # this process may have read it
    yield address
    away.rename(script)


@pytest.fixture
def looked(capsys, monkeypatch):
    """A command of a terminal, in this process, and how it ended."""

    def look(*args):
        # What a command names is named for the rest of its process.
        monkeypatch.setattr(named, "_of_process", [])
        return in_process(capsys, *args)

    return look


by_value = pytest.mark.skipif(
    tuple(map(int, cloudpickle.__version__.split(".")[:3])) < (3, 1, 3),
    reason="before cloudpickle 3.1.3 the path of a script came along",
)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("verb", ["debug", "replay"])
def test_a_terminal_finds_the_line_in_what_is_named(looked, job, verb, kind):
    script, address = job
    source = script if kind == "file" else script.parent
    done = looked(verb, "ratio-1", "--scheduler", address, "--source", source)
    assert "return a / b  # the line" in done.out
    assert "same" in done.out
    assert done.code == 1, done.err


def test_a_terminal_finds_the_line_in_a_process_of_its_own(looked, job):
    script, address = job
    done = looked(
        "replay", "--where", "process", "--scheduler", address, "--source", script
    )
    assert "return a / b  # the line" in done.out


@by_value
def test_a_terminal_finds_the_line_in_a_notebook(looked, moved, tmp_path):
    import nbformat

    cells = [nbformat.v4.new_code_cell(text) for text in ("1 + 1", JOB)]
    cells[1].execution_count = 7
    path = tmp_path / "job.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    done = looked("debug", "--scheduler", moved, "--source", path)
    assert "return a / b  # the line" in done.out
    assert "In[7]" in done.out


@by_value
def test_without_a_name_it_is_said_what_to_do(looked, moved):
    done = looked("debug", "--scheduler", moved)
    assert "the source of 'ratio' is not known here" in plain(done.out)
    assert "--source" in done.out


def test_another_text_is_not_shown_in_its_place(looked, moved, tmp_path):
    (tmp_path / "job.py").write_text(JOB.replace("a / b", "b / a"))
    done = looked("debug", "--scheduler", moved, "--source", tmp_path)
    assert "b / a" not in done.out


@pytest.mark.parametrize("path", ["nowhere.py", "README.md"])
def test_what_is_no_source_is_refused_in_a_line(looked, job, path, tmp_path):
    _, address = job
    (tmp_path / "README.md").write_text("no code")
    done = looked("debug", "--scheduler", address, "--source", tmp_path / path)
    assert done.code == 2
    assert "Traceback" not in done.err


# -- a notebook ------------------------------------------------------------------

CELLS = """
from distributed import Client, LocalCluster, wait
import dbgkit, linecache
cluster = LocalCluster(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
)
client = Client(cluster)

def line(future):
    wait(future)
    again = dbgkit.replay(future)
    frame = again.exception.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    print(again.outcome, linecache.getline(code.co_filename, frame.tb_lineno).strip())
    print(*again.notes)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in ("%load_ext dbgkit", CELLS):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel
    kernel.run("client.close(); cluster.close()")
    kernel.stop()


def test_a_cell_is_shown(kernel):
    kernel.run("def ratio(a, b):\n    return a / b  # in a cell")
    _, said = kernel.run("line(client.submit(ratio, 1, 0))")
    assert "same return a / b  # in a cell" in said


def test_a_cell_below_a_magic_is_shown(kernel):
    code = "def timed(x):\n    return 1 / x  # timed\nline(client.submit(timed, 0))"
    _, said = kernel.run(f"%%time\n{code}")
    assert "same return 1 / x  # timed" in said


def test_a_function_that_was_defined_anew_is_shown_as_it_ran(kernel):
    kernel.run("def again(x):\n    return 1 / x  # before")
    kernel.run("old = client.submit(again, 0); wait(old)")
    kernel.run("def again(x):\n    print()\n    return 2 / x  # after")
    _, said = kernel.run("line(old)")
    assert "same return 1 / x  # before" in said
    assert "'again' was edited since it ran" in said


def test_a_class_that_was_defined_anew_is_told_where_its_code_differs(kernel):
    before = "class Model:\n    def ratio(self, x):\n        return 1 / x  # before"
    kernel.run(before)
    kernel.run("old = client.submit(Model().ratio, 0); wait(old)")
    kernel.run(f"import math\n{before}")
    _, said = kernel.run("line(old)")
    assert "same return 1 / x  # before" in said
    assert "edited since" not in said
    kernel.run(before.replace("1 / x", "2 / x"))
    _, said = kernel.run("line(old)")
    assert "same return 1 / x  # before" in said
    assert "the class 'Model' was edited since it ran" in said


def test_the_prompt_lists_the_cell(kernel):
    kernel.run("def listed(x):\n    y = 2\n    return y / x  # listed")
    kernel.run("client.submit(listed, 0).result()")
    _, said = kernel.run("%dbg", "l", "q")
    assert said.count("return y / x  # listed") >= 1
    assert "EOF" not in said


# -- pytest ----------------------------------------------------------------------

REWRITTEN = """
from distributed import Client
import dbgkit

def test_job():
    def local(x):
        assert x > 0, "no"  # rewritten
        return x
    with Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as client:
        try:
            client.submit(local, 0).result()
        except AssertionError:
            dbgkit.debug(prompt=False)
"""


def test_a_rewritten_assert_shows_its_line(tmp_path):
    (tmp_path / "test_rewritten.py").write_text(REWRITTEN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:dbgkit", "-q", "-s"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert 'assert x > 0, "no"  # rewritten' in done.stdout, done.stdout
    assert "outcome same" in done.stdout


@by_value
def test_doctor_says_whose_source_is_not_here(looked, moved, tmp_path):
    lost = looked("doctor", "--scheduler", moved, "--json")
    (tmp_path / "copy.py").write_text(JOB)
    told = looked("doctor", "--scheduler", moved, "--json", "--source", tmp_path)
    found = [
        next(
            each
            for each in json.loads(done.out)["findings"]
            if each["check"] == "source"
        )
        for done in (lost, told)
    ]
    assert [each["level"] for each in found] == ["warning", "ok"]
    assert "--source" in found[0]["advice"]


@by_value
def test_calls_find_the_line_in_what_is_named(moved, tmp_path):
    (tmp_path / "copy.py").write_text(JOB)
    lost = dbgkit.locate(client=moved)
    assert "# the line" not in str(lost)
    assert "# the line" in str(dbgkit.locate(client=moved, source=tmp_path))
    levels = {
        each.level
        for each in dbgkit.doctor(client=moved, source=tmp_path).findings
        if each.check == "source"
    }
    assert levels == {"ok"}


def test_a_script_on_this_machine_needs_no_name(job):
    _, address = job
    done = ended(start("debug", "--scheduler", address))
    assert "return a / b  # the line" in done.out
