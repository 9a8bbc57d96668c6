"""The examples, run as a user would: plainly, at a terminal, and without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked import METHOD
from live_editors import Editor, invited

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "advanced_distributed.ipynb"
STATES = EXAMPLES / "states.py"
LIVE = EXAMPLES / "live_breakpoint.py"
BREAK_AT = EXAMPLES / "break_at_failure.py"
HELD = EXAMPLES / "held_failure.py"
AS_A_FILE = EXAMPLES / "failure_as_a_file.py"
SMALLEST = EXAMPLES / "smallest_input.py"  # see test_shrink_provenance.py
STATES_NOTEBOOK = EXAMPLES / "states.ipynb"
PROMPT = re.escape("(Pdb) ")


@dataclass(frozen=True)
class Example:
    """What an example's docstring promises."""

    script: str
    error: str  # last line of the traceback, as a regular expression
    function: str
    line: str
    ask: str
    answer: str
    local: str  # of the report, as a regular expression
    outcome: str = "same"


TABLE = [
    Example(
        "ratio.py",
        r"ZeroDivisionError: division by zero",
        "ratio",
        "return a / b",
        "p a, b",
        "(25, 0)",
        r"b += 0",
    ),
    Example(
        "futures_inc_dec_add.py",
        r"TypeError: unsupported operand type\(s\) for -: 'str' and 'int'",
        "dec",
        "return x - 1",
        "p x",
        "'20'",
        r"x += '20'",
    ),
    Example(
        "bag_accounts.py",
        r"json\.decoder\.JSONDecodeError: Expecting value: line 2 column 1 .*",
        "parse",
        "return json.loads(line)",
        "p line[:11]",
        "'{\"id\": 2500'",
        r"line += '\{.id.: 2500, .name",
    ),
    Example(
        "persisted_array.py",
        r"numpy\.linalg\.LinAlgError: Matrix is not positive definite",
        "decorrelate",
        "factor = np.linalg.cholesky(covariance)",
        "p covariance[2].tolist()",
        "[0.0, 0.0, 0.0, 0.0]",
        r"covariance += numpy\.ndarray float64 \(4, 4\)",
    ),
    Example(
        "rosenbrock_search.py",
        r"ValueError: (math domain error|expected a positive input.*)",
        "cost",
        "barrier = -0.01 * math.log(room)",
        "p room <= 0, room == 2 - x**2 - y**2",
        "(True, True)",
        r"room += (-\d|0\.0)",
    ),
    Example(
        "dataframe_partition.py",
        r"ValueError: Unable to parse string .n/a. at position 13",
        "with_revenue",
        'price = pd.to_numeric(sales["price"])',
        "p sales.month.unique().tolist()",
        "[10]",
        r"sales += pandas\.\S*DataFrame 28 rows",
    ),
    # What is shown of it is its recording, as a replay passes.
    Example(
        "flaky_sensor.py",
        r"ZeroDivisionError: (float )?division by zero",
        "normalise",
        "return sum(history) / reading",
        "p reading, history",
        "(0, [21, 22, 23])",
        r"reading += 0",
        outcome="passed",
    ),
]
each_example = pytest.mark.parametrize("example", TABLE, ids=lambda e: e.script)


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment, without what would change how a debugger opens.

    Workers are spawned, as by default: slowly.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONBREAKPOINT", "FORCE_COLOR", "PYTHONWARNINGS")
        and not name.startswith(("PYTEST_", "DASK_"))
    }
    return kept | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "160"}


@pytest.fixture
def quick(environment: dict[str, str]) -> dict[str, str]:
    """The same, where workers start faster; how they start is not what is tested."""
    return environment | {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": METHOD}


def run(
    *arguments: str | Path, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_table_has_every_example() -> None:
    others = {STATES, LIVE, BREAK_AT, HELD, AS_A_FILE, SMALLEST}
    scripts = {e.script for e in TABLE} | {each.name for each in others}
    assert scripts == {p.name for p in EXAMPLES.glob("*.py")}


@each_example
def test_plain_python_fails_for_the_stated_reason(
    example: Example, tmp_path: Path, quick: dict[str, str]
) -> None:
    done = run(EXAMPLES / example.script, cwd=tmp_path, environment=quick)

    assert done.returncode == 1
    assert re.search(rf"^{example.error}$", done.stderr, re.MULTILINE), done.stderr


@each_example
def test_at_a_terminal_it_stops_at_the_failing_line(
    example: Example, tmp_path: Path, quick: dict[str, str]
) -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "run", str(EXAMPLES / example.script)],
        cwd=str(tmp_path),
        env=quick,
        encoding="utf-8",
        dimensions=(60, 160),
        timeout=90,
    )
    try:
        child.expect(PROMPT)
        shown = child.before
        # pdb's own first lines: the frame it stops in, and the line.
        stop = re.findall(r"^> (\S+)\((\d+)\)(\w+)\(\)\s*-> (.*?)\r?$", shown, re.M)
        assert stop, shown
        file, number, function, line = stop[-1]
        source = (EXAMPLES / example.script).read_text().splitlines()
        assert Path(file).name == example.script
        assert function == example.function
        assert line == example.line == source[int(number) - 1].strip()

        child.sendline(example.ask)
        child.expect(PROMPT)
        assert child.before.splitlines()[-1] == example.answer

        child.sendline("q")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1
    finally:
        child.close(force=True)


@each_example
def test_without_a_terminal_the_report_is_printed(
    example: Example, tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(
        "-m",
        "dbgkit",
        "run",
        EXAMPLES / example.script,
        cwd=tmp_path,
        environment=environment,
    )

    printed = done.stdout + done.stderr
    assert done.returncode == 1, printed
    assert "(Pdb)" not in printed
    assert re.search(rf"outcome +{example.outcome}", printed), printed
    assert re.search(rf"{example.script}:\d+ in {example.function}$", printed, re.M)
    # What Dask's workers log for themselves is theirs.
    own = done.stderr.partition("Traceback (most recent call last)")[2] + done.stdout
    assert "dynamic-code" not in own
    assert re.search(rf"❱ \d+ │ +{re.escape(example.line)}$", printed, re.M)
    assert re.search(rf"^ +{example.local}", printed, re.M), printed


@pytest.mark.parametrize("how", [(), ("-m", "dbgkit", "run")], ids=["plain", "run"])
@pytest.mark.parametrize(
    ("script", "module", "extra"),
    [
        ("dataframe_partition.py", "pandas", "dask[dataframe]"),
        ("persisted_array.py", "numpy", "dask[array]"),
    ],
)
def test_an_example_that_needs_more_says_so(
    how: tuple[str, ...],
    script: str,
    module: str,
    extra: str,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('it is not installed')")
    path = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    environment = {**environment, "PYTHONPATH": path}
    done = run(*how, EXAMPLES / script, cwd=tmp_path, environment=environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("this example needs ")
    assert line.endswith(f": python -m pip install '{extra}'")


def test_the_examples_leave_no_data_behind(
    tmp_path: Path, quick: dict[str, str]
) -> None:
    quick |= {"TMPDIR": str(tmp_path)}

    run(EXAMPLES / "bag_accounts.py", cwd=tmp_path, environment=quick)
    run(EXAMPLES / "persisted_array.py", cwd=tmp_path, environment=quick)

    assert not list(tmp_path.glob("accounts-*"))
    assert not list(tmp_path.glob("readings-*"))


def test_failures_and_a_hang_are_explained(
    tmp_path: Path, quick: dict[str, str]
) -> None:
    done = run(STATES, cwd=tmp_path, environment=quick)

    assert done.returncode == 0, done.stderr
    _, failures, why, tasks, story = re.split(
        r"^(?:Which|Why|What) .*\?$", done.stdout, flags=re.MULTILINE
    )
    for name in ("ValueError", "ZeroDivisionError", "KeyError"):
        assert name in failures
    assert "waiting-on" in why
    assert re.search(r"needs GPU=1,\s+which\s+no\s+worker\s+has", why)
    assert "draw-1" in tasks and "no-worker" in tasks
    assert "processing → erred" in story
    assert "Traceback (most recent call last)" not in done.stderr


def executed(path: Path, folder: Path) -> Any:
    """A notebook, run from its first cell to its last."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=90,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return notebook


def test_the_notebook_runs_where_nobody_can_type(tmp_path: Path) -> None:
    notebook = executed(NOTEBOOK, tmp_path)

    outputs = {
        cell.source: "".join(_texts(cell.outputs))
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    assert "celsius * 9 / 5 + 32" in outputs["%dbg"]
    assert "return 1 / x" in outputs["%dbg total"]
    assert "'20'" in next(out for src, out in outputs.items() if "%%dbg" in src)
    assert "'same'" in next(
        out for src, out in outputs.items() if src.startswith("replay.outcome")
    )
    raised = {
        output.ename
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    }
    assert raised == {"TypeError"}


def test_the_notebook_of_states_runs_where_nobody_can_type(tmp_path: Path) -> None:
    notebook = executed(STATES_NOTEBOOK, tmp_path)

    outputs = {
        cell.source: cell.outputs
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith("%dbg")
    }
    said = {source: "".join(_texts(found)) for source, found in outputs.items()}
    assert said["%dbg_failures"].count("ZeroDivisionError") >= 1
    assert "KeyError" in said["%dbg_story price-3"]
    for source in ("%dbg_why picture", "%dbg_why --dump path draw-1"):
        assert "needs GPU=1" in said[source]
    for found in outputs.values():
        (html,) = [o["data"]["text/html"] for o in found if "data" in o]
        assert "<" in html
    assert not list(tmp_path.iterdir())


def _texts(outputs: list[dict[str, Any]]) -> list[str]:
    """All text that a cell put out."""
    return [
        o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs
    ]


@pytest.mark.parametrize("path", [NOTEBOOK, STATES_NOTEBOOK], ids=lambda p: p.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)

    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not c.outputs and c.execution_count is None for c in code)


@pytest.mark.parametrize(
    "line",
    [
        "python -m pip install -e . && dbgkit run examples/ratio.py",
        'python -m pip install -e ".[test]" && python -m pytest',
    ],
)
def test_the_readme_has_the_line_that_ci_runs(line: str) -> None:
    assert line in (ROOT / "README.md").read_text().splitlines()
    assert line in (ROOT / ".ci" / "run").read_text()


def test_a_failure_as_a_file_becomes_its_row_and_a_test(
    tmp_path: Path, quick: dict[str, str]
) -> None:
    done = run(AS_A_FILE, tmp_path, cwd=tmp_path, environment=quick)
    assert done.returncode == 0, done.stderr
    words = re.sub(r"\s+", " ", done.stdout)
    assert "one row makes it fail" in words
    assert "{'price': '12.50 EUR'}" in words and "line 3,143" in words
    test = tmp_path / "test_night.py"
    pytest_of_it = ("-m", "pytest", "-q", "-p", "no:cacheprovider", test)
    done = run(*pytest_of_it, cwd=tmp_path, environment=quick)
    assert done.returncode == 1 and "12.50 EUR" in done.stdout
    # Mended by hand, it passes.
    mended = test.read_text().replace('removeprefix("EUR ")', 'strip("EUR ")')
    test.write_text(mended)
    done = run(*pytest_of_it, cwd=tmp_path, environment=quick)
    assert done.returncode == 0, done.stdout


def test_without_a_folder_nothing_of_it_is_left(
    tmp_path: Path, quick: dict[str, str]
) -> None:
    quick |= {"TMPDIR": str(tmp_path)}
    done = run(AS_A_FILE, cwd=tmp_path, environment=quick)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*.dbgkit")) and not list(tmp_path.glob("*.py"))


@contextmanager
def at_terminal(script: Path, environment: dict[str, str]) -> Iterator[Any]:
    """A script that runs at a terminal."""
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable,
        [str(script)],
        env=environment,
        encoding="utf8",
        timeout=60,
        dimensions=(50, 160),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def test_the_task_that_is_stopped_is_entered(environment: dict[str, str]) -> None:
    with at_terminal(LIVE, environment) as child:
        child.expect(PROMPT)
        child.sendline("p start, step")
        child.expect_exact("(-1e+30, 50)")
        child.sendline("!value = 1.0")
        child.expect(PROMPT)
        child.sendline("c")
        child.expect_exact("[1.414214, 1.414214, 1.414214, 1.414214]")


def test_where_nobody_can_type_it_goes_on(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(LIVE, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "without a command it goes on by itself" in done.stdout
    assert "[1.414214, 1.414214, -1.414214, 1.414214]" in done.stdout


def test_the_task_that_is_stopped_is_debugged_by_an_editor(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("debugpy")
    out = tmp_path / "out"
    with out.open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-u", str(LIVE), "--editor"],
            stdout=said,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    try:
        editor = Editor(invited(out)["connect"]["port"])
        frames = editor.begin()
        assert frames[0]["name"] == "estimate"
        assert editor.evaluate("start, step") == "(-1e+30, 50)"
        editor.evaluate("value = 1.0", context="repl")
        editor.ask("continue", threadId=editor.thread)
        assert child.wait(60) == 0
        editor.close()
    finally:
        child.kill()
        child.wait()
    assert "[1.414214, 1.414214, 1.414214, 1.414214]" in out.read_text()


def test_a_task_that_fails_is_entered_there(environment: dict[str, str]) -> None:
    with at_terminal(BREAK_AT, environment) as child:
        child.expect(PROMPT)
        assert "TypeError" in child.before
        child.sendline("p sensor, value")
        child.expect_exact("(2, 'n/a')")
        child.sendline("u")
        child.expect(PROMPT)
        child.sendline("c")
        child.expect_exact("['error', 'finished', 'finished', 'finished'")


def test_where_nobody_can_type_it_fails_as_it_would(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(BREAK_AT, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "total = sum(" in done.stdout or "return round(" in done.stdout
    assert "['error', 'finished', 'finished', 'finished'" in done.stdout


def test_a_failure_that_is_held_is_entered(environment: dict[str, str]) -> None:
    with at_terminal(HELD, environment) as child:
        child.expect(PROMPT)
        assert "ValueError" in child.before
        child.sendline("p len(readings), readings[1_999_990:]")
        child.expect_exact("2000000")
        child.sendline("exceptions 1")
        child.expect_exact("-> return 1 / spread")
        child.sendline("drop")
        child.expect_exact("0 failures are held")


def test_where_nobody_can_type_what_is_held_is_shown(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(HELD, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "without a command it is let go" in done.stdout
    assert "1 failure is held" in done.stdout
