"""The magics in a real Jupyter kernel, with and without anybody to type."""

from __future__ import annotations

import os
import re
import sys

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

JOBS = """
from dask import delayed
from distributed import Client

def inc(x):
    return x + 1

def ratio(a, b):
    scaled = a * 100
    return scaled / b

client = Client(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
)
"""

FAILS = "delayed(ratio)(7, delayed(inc)(-1)).compute()"


def plain(text):
    """Without the colours that a notebook shows."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Kernel:
    """A kernel, and what it said to each cell."""

    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(
            startup_timeout=60,
            cwd=str(folder),
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "IPYTHONDIR": str(folder),
            },
        )

    def run(self, code, *answers):
        """Run a cell; with answers, as a front end that takes input."""
        said, left = [], list(answers)

        def hear(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append("\n".join(content["traceback"]))
            elif message["msg_type"] in ("execute_result", "display_data"):
                said.extend(content["data"].values())

        def answer(message):
            self.client.input(left.pop(0))

        reply = self.client.execute_interactive(
            code,
            allow_stdin=bool(answers),
            output_hook=hear,
            stdin_hook=answer if answers else None,
            timeout=60,
        )
        assert not left, "".join(said)
        return reply["content"]["status"], plain("".join(map(str, said)))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in ("%load_ext dbgkit", JOBS):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel
    kernel.run("client.close(); client.cluster.close()")
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


@pytest.mark.core
def test_opens_the_prompt_where_the_front_end_takes_input(kernel):
    status, said = kernel.run(FAILS)
    assert status == "error"
    assert "%dbg opens this in the task that failed" in said
    status, said = kernel.run("%dbg", "p scaled, b", "q")
    assert status == "ok"
    assert "(700, 0)" in said


def test_prints_the_report_where_it_takes_none(kernel):
    kernel.run(FAILS)
    status, said = kernel.run("%dbg")
    assert status == "ok"
    assert "ZeroDivisionError: division by zero" in said
    assert "scaled = 700" in said


def test_the_call_opens_the_prompt_as_the_magic_does(kernel):
    kernel.run(FAILS)
    _, said = kernel.run("import dbgkit; again = dbgkit.debug()", "p scaled", "q")
    assert "700" in said
    assert "same" in kernel.run("again.outcome")[1]


def test_a_replay_has_an_html_form(kernel):
    kernel.run(FAILS)
    _, said = kernel.run("%dbg_replay")
    assert "<" in said and "ZeroDivisionError" in said


def test_an_error_of_ours_is_one_line(kernel):
    status, said = kernel.run("%dbg nonsense")
    assert status == "error"
    assert said.startswith("UnknownKey: ")
    assert "\n" not in said.strip()


def test_a_cell_that_failed_stays_failed(kernel):
    status, said = kernel.run(f"%%dbg\nx = {FAILS}", "p scaled, b", "q")
    assert status == "error"
    assert "(700, 0)" in said


def test_a_notebook_that_nobody_watches_gets_the_report(tmp_path):
    cells = ["%load_ext dbgkit", JOBS, f"%%dbg\n{FAILS}", "print('never')"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    client = NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    )
    with pytest.raises(CellExecutionError):
        client.execute()
    outputs = notebook.cells[2].outputs
    said = plain("".join(output.get("text", "") for output in outputs))
    assert "scaled = 700" in said
    assert not notebook.cells[3].outputs
