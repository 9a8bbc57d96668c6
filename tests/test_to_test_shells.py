"""``to_test`` where there is no file: notebooks, prompts, ``python -c``."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from commands import environment
from shells import Kernel, shell_of_its_own
from to_test_runs import check_mended

CELLS = (
    """
import dask
from math import sqrt as root

LIMIT = 100
""",
    """
def scaled(x):
    # of the limit
    return root(x) / LIMIT
""",
    """
@dask.delayed
def ratio(a, b):
    return scaled(a) / b
""",
)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel with the cells of a job, in whose folder the tests are written."""
    folder = tmp_path_factory.mktemp("kernel")
    kernel = Kernel(folder)
    cluster = (
        "from distributed import Client",
        "client = Client(processes=False, n_workers=1, dashboard_address=':0')",
        f"import os; os.chdir({str(folder)!r})",
    )
    for code in ("%load_ext dbgkit", *CELLS, "\n".join(cluster)):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel, folder
    kernel.run("client.close(); client.cluster.close()")
    kernel.stop()


def test_a_notebook(kernel):
    run, folder = kernel
    status, _ = run.run("ratio(4, 0).compute()")
    assert status == "error"
    status, said = run.run("%dbg_to_test")
    assert status == "ok" and "written to test_ratio.py" in said
    text = (folder / "test_ratio.py").read_text()
    for part in ("from math import sqrt\n", "root = sqrt", "Cell In["):
        assert part in text
    assert "# of the limit" in text and "delayed" not in text
    check_mended(folder / "test_ratio.py", "/ b", "* b")


def test_a_timed_cell_under_the_synchronous_scheduler(kernel):
    run, folder = kernel
    run.run("%%time\ndef timed(x):\n    return scaled(x) / x\n")
    run.run("dask.delayed(timed)(0).compute(scheduler='sync')")
    status, said = run.run("%dbg_to_test --output test_timed.py")
    assert status == "ok" and "written to test_timed.py" in said
    check_mended(folder / "test_timed.py", "/ x", "* x")


def test_ipython(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with shell_of_its_own(tmp_path / "ipython") as shell:
        shell.run_line_magic("load_ext", "dbgkit")
        for cell in CELLS:
            shell.run_cell(cell).raise_error()
        shell.run_cell("ratio(4, 0).compute(scheduler='threads')")
        shell.run_cell("%dbg_to_test --output test_it.py").raise_error()
    check_mended(tmp_path / "test_it.py", "/ b", "* b")


LAST = """
try:
    ratio(4, 0).compute(scheduler="sync")
except ZeroDivisionError as error:
    import dbgkit
    try:
        print(dbgkit.to_test(error))
    except dbgkit.DbgkitError as refused:
        print(f"{type(refused).__name__}: {refused}")
"""


def run_python(folder, *args, **options):
    done = subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment(),
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_python_c(tmp_path):
    said = run_python(tmp_path, "-c", "".join((*CELLS, LAST)))
    assert said == "test_ratio.py"
    check_mended(tmp_path / said, "/ b", "* b")


def test_standard_input(tmp_path):
    said = run_python(tmp_path, input="".join((*CELLS, LAST)))
    assert said.startswith("NotHere: the source of 'ratio' is not known")
    assert "standard input" in said


def test_a_script_that_was_edited_since(tmp_path):
    edits = (
        "import pathlib, re",
        "path = pathlib.Path(__file__)",
        "path.write_text(path.read_text().replace('scaled(a) / b', 'scaled(a)'))",
    )
    script = tmp_path / "job.py"
    script.write_text("\n".join((*CELLS, *edits, LAST)))
    said = run_python(tmp_path, str(script))
    assert re.match("NotHere: .*job.py.* has it no longer|NotVerified: .*edited", said)
