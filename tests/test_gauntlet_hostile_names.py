"""Names that a terminal or page would obey: the live screen, a kernel, workers."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys

import pexpect
import pytest
from commands import environment, in_process
from conftest import own_cluster
from distributed import Nanny, Worker, wait
from rich.console import Console
from shells import Kernel
from tasks import inc
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.api.report import report as make_report
from dbgkit.remote.common.texts import visible

# Escape sequences, C1, direction and no width, a line end, rich's markup and emoji,
# HTML in and out of an attribute.
EVIL = (
    "\x1b[31mred\x1b]52;c;aGk=\x07\x9b1m\u202egpj\u200b\nFalse: all is well"
    " [bold]b[/bold] [/a/b] :smile: <script>alert(1)</script>\"'><img src=x>\x1b[2Jend"
)
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")  # of rich and IPython


def obeyed(text):
    """Characters of a text that a terminal would obey, or nobody see."""
    return {one for one in text if one not in "\n\t" and visible(one) != one}


def assert_spelt_out(text, *, page=False, lines=False):
    """Assert that nothing is obeyed, and that the evil is there to be read.

    ``lines``: it is in the text of an exception or a log too, which keep their lines.
    """
    assert not obeyed(text), (obeyed(text), text)
    assert "\\x1b]52;c;aGk=" in text, text
    if not lines:
        assert not re.search("^ *False: all", text, re.MULTILINE), text
    if page:
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    else:
        assert "\U0001f604" not in text


def fails_with(text):
    def evil(x):
        raise type(f"Evil{text}", (ValueError,), {})(f"message {text}")

    return evil


# -- names of workers ------------------------------------------------------------


@pytest.fixture(scope="module")
def named():
    """A cluster whose workers have such names: one is there, one has been killed."""
    with own_cluster(processes=False, protocol="tcp", n_workers=0) as client:
        address = client.scheduler.address

        async def begin(kind):
            return await kind(address, name=f"{kind.__name__} {EVIL}", nthreads=1)

        worker = client.sync(begin, Worker, callback_timeout=120)
        with dbgkit.record(client=client) as recorder:
            nanny = client.sync(begin, Nanny, callback_timeout=120)
            client.wait_for_workers(2, timeout=120)
            os.kill(nanny.pid, signal.SIGKILL)
            wait_until(lambda: dbgkit.deaths(client=client).total, "it has died")
            client.sync(nanny.close)
            bad = client.submit(fails_with(EVIL), 1, key=f"bad {EVIL}-1", pure=False)
            held = client.submit(inc, 1, key="held", workers=[worker.address])
            stuck = client.submit(inc, 1, key="stuck", workers=[f"no {EVIL}"])
            wait([bad, held])
            yield client, worker
            recorder.off()
        del stuck
        client.sync(worker.close)


WORKERS = {
    "deaths": lambda client: dbgkit.deaths(client=client),
    "tasks": lambda client: dbgkit.tasks(client=client),
    "failures": lambda client: dbgkit.failures(client=client),
    "why": lambda client: dbgkit.why("stuck", client=client),
    "story": lambda client: dbgkit.story(f"bad {EVIL}-1", client=client),
    "recordings": lambda client: dbgkit.recordings(client=client),
    "report": lambda client: make_report(client=client),
}
TEXTS = ("failures", "report", "story")  # in which there are such of exceptions, logs


@pytest.mark.parametrize("verb", WORKERS)
def test_names_of_workers_in_each_form(named, verb):
    data = WORKERS[verb](named[0])
    file = io.StringIO()
    Console(file=file, width=600).print(data)
    for text in (file.getvalue(), str(data), render.to_text(data, width=600)):
        assert_spelt_out(text, lines=verb in TEXTS)
    assert not obeyed(repr(data))
    assert not obeyed(json.dumps(data.to_json()))
    page = data._repr_mimebundle_()["text/html"]
    assert_spelt_out(page, page=True, lines=True)  # which mean nothing there


def test_a_page(named):
    page = render.document(make_report(client=named[0]))
    assert not obeyed(page)
    assert "<script>alert" not in page and "<img src=x" not in page


@pytest.mark.parametrize("verb", ["deaths", "failures", "tasks"])
def test_the_command_line(capsys, named, verb):
    done = in_process(capsys, verb, "--scheduler", named[0].scheduler.address)
    assert_spelt_out(done.out, lines=verb in TEXTS)
    assert not done.err


# -- the live screen --------------------------------------------------------------


def test_the_live_screen(named):
    """rich moves the cursor and colours; nothing else may reach the terminal."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "watch", "--scheduler", named[0].scheduler.address],
        dimensions=(40, 1_500),
        encoding="utf8",
        timeout=60,
        env=environment(TERM="xterm", COLUMNS="", LINES=""),
    )
    said = io.StringIO()
    child.logfile_read = said
    try:
        child.expect_exact("stuck")
        child.expect_exact("all is well")
        child.send("q")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.exitstatus == 1
    text = _SEQUENCE.sub("", said.getvalue()).replace("\r\n", "\n").replace("\r", "")
    assert_spelt_out(text)
    for whole in ("[bold]b[/bold] [/a/b] :smile: <script>", "\\x1b[31mred"):
        assert whole in text
    assert "\x1b[31mred" not in said.getvalue()
    assert said.getvalue().count("\x1b[2J") == 0


# -- a kernel ----------------------------------------------------------------------

CELL = """
from dask import delayed
from distributed import Client
import dbgkit

EVIL = {evil}
client = Client(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
)
Evil = type("Evil" + EVIL, (ValueError,), {{}})

def evil(x):
    local = EVIL
    raise Evil("message " + EVIL)

recorder = dbgkit.record()
bad = client.submit(evil, EVIL, key="bad " + EVIL + "-1")
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in ("%load_ext dbgkit", CELL.format(evil=ascii(EVIL))):
        status, said = kernel.run(code)
        assert status == "ok", said
    kernel.run("bad.result()")
    yield kernel
    kernel.run("client.close(); client.cluster.close()")
    kernel.stop()


MAGICS = (
    *("%dbg", "%dbg_locate bad", "%dbg_replay bad", "%dbg_failures", "%dbg_tasks"),
    *("%dbg_story bad", "%dbg_why bad", "%dbg_recordings", "%dbg_recordings bad"),
    "%dbg_locate 'none {EVIL}'",
    "print(dbgkit.failures())",
    "dbgkit.locate(bad)",
)


@pytest.mark.parametrize("line", MAGICS)
def test_magics_in_a_kernel(kernel, line):
    _, said = kernel.run_parts(line)
    assert said
    for kind, text in said:
        text = _SEQUENCE.sub("", text)
        if kind == "error" and "dbgkit" not in text and "none" not in line:
            continue
        assert not obeyed(text), (kind, obeyed(text))
        if kind == "text/html":
            assert "<script>alert" not in text and "<img src=x" not in text
    told = "".join(str(text) for _, text in said)
    assert "x1b]52;c;aGk=" in told or "none" in line, told


def test_a_prompt_in_a_kernel(kernel):
    _, said = kernel.run_parts("%dbg bad", "q")
    head = "".join(text for kind, text in said if kind == "stream")
    head = _SEQUENCE.sub("", head.partition("ipdb>")[0])
    assert not obeyed(head)
    assert "\\x1b]52;c;aGk=" in head


def test_the_line_after_a_failed_cell(kernel):
    _, said = kernel.run_parts("bad.result()")
    ours = [text for kind, text in said if kind == "stream"]
    assert "%dbg opens this" in "".join(ours)
    assert not obeyed("".join(ours))
