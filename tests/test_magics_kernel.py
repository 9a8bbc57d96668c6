"""The magics in a real Jupyter kernel, with and without anybody to type."""

from __future__ import annotations

import re
from html import unescape

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from shells import Kernel

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


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in ("%load_ext dbgkit", JOBS):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel
    kernel.run("client.close(); client.cluster.close()")
    kernel.stop()


def test_opens_the_prompt_where_the_front_end_takes_input(kernel):
    status, said = kernel.run(FAILS)
    assert status == "error"
    assert "%dbg opens this in the task that failed" in said
    status, said = kernel.run("%dbg", "p scaled, b", "q")
    assert status == "ok"
    assert "(700, 0)" in said


def cards(said):
    html = (text for kind, text in said if kind == "text/html")
    return [text for text in html if 'class="dbgkit ' in text]


@pytest.mark.parametrize("line", ["%dbg", "import dbgkit; again = dbgkit.debug()"])
def test_shows_the_card_of_a_replay_where_it_takes_no_input(kernel, line):
    kernel.run(FAILS)
    status, said = kernel.run_parts(line)
    assert status == "ok"
    (card,) = cards(said)
    assert "ZeroDivisionError" not in "".join(t for kind, t in said if kind == "stream")
    (other,) = cards(kernel.run_parts("import dbgkit; dbgkit.replay()")[1])
    same = re.compile(r"\(\d[\d.]* \w+\)")  # how long it ran
    assert same.sub("", card) == same.sub("", other)
    for text in ("ZeroDivisionError", "scaled", "700", "return", "%dbg  right after"):
        assert text in unescape(card)


def test_the_line_that_a_card_names_opens_it(kernel):
    kernel.run("kept = client.submit(ratio, 7, 0, key='ratio-kept'); kept.exception()")
    (card,) = cards(kernel.run_parts("%dbg_locate kept")[1])
    (line,) = re.findall(r"%dbg [^<]*", unescape(card))
    assert line == "%dbg 'ratio-kept'"
    status, said = kernel.run(line, "p scaled, b", "q")
    assert (status, "(700, 0)" in said) == ("ok", True)


def test_the_call_opens_the_prompt_as_the_magic_does(kernel):
    kernel.run(FAILS)
    _, said = kernel.run("import dbgkit; again = dbgkit.debug()", "p scaled", "q")
    assert "700" in said
    assert "same" in kernel.run("again.outcome")[1]


def test_a_replay_has_an_html_form(kernel):
    kernel.run(FAILS)
    _, said = kernel.run("%dbg_replay")
    assert "<" in said and "ZeroDivisionError" in said


def test_the_state_of_the_cluster_is_shown_once_and_a_report_as_a_card(kernel):
    for line in ("%dbg_watch", "%dbg_report", "dbgkit.watch()"):
        status, said = kernel.run(f"import dbgkit\n{line}")
        assert status == "ok", said
        assert '<div class="dbgkit ' in said and "Failures" in said, line


def test_an_error_of_ours_is_one_line(kernel):
    status, said = kernel.run("%dbg nonsense")
    assert status == "error"
    assert said.startswith("UnknownKey: ")
    assert "\n" not in said.strip()


def test_a_cell_that_failed_stays_failed(kernel):
    status, said = kernel.run(f"%%dbg\nx = {FAILS}", "p scaled, b", "q")
    assert status == "error"
    assert "(700, 0)" in said


def test_a_notebook_that_nobody_watches_gets_the_card(tmp_path):
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
    shown = [output["data"] for output in outputs if "data" in output]
    (card,) = cards([each for data in shown for each in data.items()])
    assert "scaled" in card and "700" in card
    assert any("scaled = 700" in data["text/plain"] for data in shown)
    assert not notebook.cells[3].outputs
