"""Live sessions as somebody types them: Python and IPython in a terminal, a notebook,
and commands in another one."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest
from cells import WITH_PATHS
from commands import environment, in_process
from distributed import Client
from live_editors import Editor, invited
from live_sessions import enter, gone, nothing_left, stop_of
from live_tasks import doubled
from schedulers import own_scheduler
from shells import (
    complete,
    kernel_with_cluster,
    plain,
    run_cell,
    shell_of_its_own,
)
from watching import wait_until

import dbgkit
from dbgkit.cluster.shipping import live_name
from dbgkit.debugger.live import IMPATIENT

SCRIPT = """
import dbgkit
from distributed import Client

def ratio(x):
    y = x * 2
    breakpoint()
    return 1 / y

if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        with dbgkit.live():
            future = client.submit(ratio, 4, key="ratio-4")
            while not dbgkit.attach():
                pass
            found = dbgkit.attach("ratio-4")
            print("left it", found.how)
            if found.how == "detached":
                dbgkit.attach(future)
            print("result", future.result())
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.py"
    path.write_text(SCRIPT)
    child = pexpect.spawn(
        sys.executable, [str(path)], env=environment(TERM="dumb", NO_COLOR="1"),
        cwd=tmp_path, encoding="utf8", timeout=30, dimensions=(50, 200),
    )  # fmt: skip
    yield child
    child.close(force=True)


def typed(child, *lines):
    """What is said to each line, and up to the next prompt."""
    said = []
    for line in lines:
        child.sendline(line)
        child.expect_exact("(Pdb) ")
        said.append(child.before)
    return plain("".join(said)).replace("\r\n", "\n")


def test_in_a_terminal(script):
    script.expect_exact("(Pdb) ")
    head = plain(script.before)
    assert "'ratio-4' waits at its breakpoint" in head
    # From Python 3.13 on, it stops at the breakpoint itself.
    line = "(8)" if sys.version_info < (3, 13) else "(7)"
    assert "not copies" in head and f"job.py{line}ratio()" in head
    assert "8\n" in typed(script, "p y")
    assert "ratio" in typed(script, "w", "l", "!y = 5")
    script.send("p y.bit_le\t")  # completed by the stopped thread
    script.expect_exact("bit_length")
    assert "bit_length" in typed(script, "")
    script.sendline("while True: pass")
    script.expect_exact("while True: pass")
    script.sendintr()
    script.expect_exact("interrupt")
    script.expect_exact("(Pdb) ")
    script.sendline("q")
    script.expect_exact("it still waits, for")
    script.expect_exact("left it detached")
    script.expect_exact("(Pdb) ")
    assert "5\n" in typed(script, "p y")
    script.sendline("c")
    script.expect_exact("goes on, beside the worker's threads")
    script.expect_exact("result 0.2")


def test_ctrl_c_twice_leaves_what_does_not_answer(script):
    script.expect_exact("(Pdb) ")
    # Within C; what is typed is shown before it is read.
    script.sendline("!print('as' + 'leep', flush=True); __import__('time').sleep(3)")
    script.expect_exact("asleep")
    script.sendintr()
    script.expect_exact("Ctrl-C once more leaves")
    time.sleep(2 * IMPATIENT)  # what is measured: less is one Ctrl-C, and not two
    assert script.isalive()
    script.sendintr()
    script.expect_exact("left it detached")


def test_the_end_of_input_leaves(script):
    script.expect_exact("(Pdb) ")
    script.sendeof()
    script.expect_exact("it still waits, for")


def test_in_the_editor_of_ipythons_terminal(tmp_path):
    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--quick", "--no-confirm-exit"],
        env=environment(
            TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1", IPYTHONDIR=str(tmp_path)
        ),
        cwd=tmp_path, encoding="utf8", timeout=60, dimensions=(50, 150),
    )  # fmt: skip
    try:
        for number, line in enumerate(
            [
                "import dbgkit, distributed",
                "client = distributed.Client(n_workers=1, dashboard_address=':0')",
                "%load_ext dbgkit",
                "%dbg_live on",
                "f = client.submit(lambda x: (breakpoint(), x)[1], 4, key='lambda-1')",
            ],
            1,
        ):
            child.expect(rf"\[.*{number}")
            child.send(f"{line}\r")
        child.expect("waits at its breakpoint")
        child.send("%dbg_attach lambda-1\r")
        child.expect_exact("Pdb")
        child.send("p x.bit_le\t")
        child.expect_exact("x.bit_length")  # as the menu has it
        child.send("\t()\r")
        child.expect(r"\n(\x1b\[\S*?)*3\r")
        child.send("c\r")
        child.expect_exact("goes on, beside the worker's threads")
    finally:
        child.close(force=True)


# -- notebooks -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with kernel_with_cluster(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


def test_in_a_notebook(kernel):
    assert "%dbg_attach enters them" in run_cell(kernel, "%dbg_live on")
    run_cell(
        kernel,
        """
        def cube(x):
            squared = x * x
            breakpoint()
            return squared * x
        future = client.submit(cube, 3, key="cube-3")
        """,
    )
    run_cell(
        kernel,
        """
        import time
        while not len(found := get_ipython().run_line_magic("dbg_attach", "")):
            time.sleep(0.05)
        """,
    )
    assert "cube-3" in run_cell(kernel, "%dbg_attach")
    said = run_cell(kernel, "%dbg_attach cube-3", "p squared", "l", "q")
    assert "9\n" in said and "squared = x * x" in said and "In[" in said
    assert "%dbg_attach" in said and "it still waits" in said
    said = run_cell(kernel, "%dbg_attach 1", "!squared = 2", "c")
    assert "goes on" in said
    assert "6" in run_cell(kernel, "future.result()")
    assert "live is off" in run_cell(kernel, "%dbg_live off")


def test_where_a_notebook_takes_no_input_the_stop_is_shown(kernel):
    run_cell(kernel, "%dbg_live on --most 2 --limit 1min")
    run_cell(
        kernel,
        """
        def halved(x):
            breakpoint()
            return x / 2
        future = client.submit(halved, 3, key="halved-3")
        while not len(get_ipython().run_line_magic("dbg_live", "")):
            time.sleep(0.05)
        """,
    )
    said = run_cell(kernel, "%dbg_attach halved-3")
    assert "halved-3" in said and "(Pdb)" not in said
    status, said = kernel.run("%dbg_attach nosuch")
    assert status == "error" and "does not wait at a breakpoint" in said
    status, said = kernel.run("%dbg_live sideways")
    assert status == "error" and "on, off, or nothing" in said
    run_cell(kernel, "%dbg_live off")
    assert "1.5" in run_cell(kernel, "future.result()")


def test_a_failure_that_is_held_is_entered_in_a_notebook(kernel):
    said = run_cell(kernel, '%dbg_record on --keep-frames "10 min"')
    assert "%dbg_attach lists failures that are held" in said
    run_cell(
        kernel,
        """
        from distributed import wait
        def share(part, parts):
            total = sum(parts)
            return part / total
        failing = client.submit(share, 4, [3, -3], key="share-4")
        _ = wait(failing)
        while not get_ipython().run_line_magic("dbg_attach", "").held:
            time.sleep(0.05)
        """,
    )
    said = run_cell(kernel, "%dbg_attach share-4", "p total, parts", "ll", "q")
    assert "(0, [3, -3])" in said
    assert "return part / total" in said and "In[" in said
    assert "it is still held" in said
    said = run_cell(kernel, "%dbg_attach failing", "drop")
    assert "dropped: its memory is free" in said
    run_cell(kernel, "%dbg_record off")


def test_words_are_completed(tmp_path):
    with shell_of_its_own(tmp_path) as shell:
        dbgkit.load_ipython_extension(shell)
        assert {"on", "off"} <= {*complete(shell, "%dbg_live o")}
        assert "--no-prompt" in complete(shell, "%dbg_attach --no")


# -- commands ------------------------------------------------------------------------


@pytest.fixture
def remote(processes_client):
    with dbgkit.live(most=5):
        yield processes_client
    nothing_left(processes_client)


def test_attach_lists_and_shows(remote, capsys):
    address = remote.scheduler.address
    assert in_process(capsys, "attach", "--scheduler", address).code == 0
    future = remote.submit(doubled, 3, key="listed-1")
    found = stop_of(remote, "listed-1")
    done = in_process(capsys, "attach", "--scheduler", address)
    assert done.code == 1 and "listed-1" in done.out
    assert f"dbgkit attach --scheduler {address} listed-1" in done.out
    done = in_process(capsys, "attach", "--scheduler", address, "--json")
    stops = json.loads(done.out)["stops"]
    assert [each["key"] for each in stops] == ["listed-1"]
    assert stops[0]["line"].endswith("in doubled")
    done = in_process(capsys, "attach", "listed-1", "--scheduler", address)
    assert done.code == 0 and "listed-1" in done.out
    done = in_process(capsys, "attach", "nosuch", "--scheduler", address)
    assert done.code == 2 and "does not wait" in done.err
    enter(remote, found, "c")
    assert future.result(10) == 7


def test_attach_enters_from_another_terminal(remote, tmp_path):
    future = remote.submit(doubled, 3, key="far-1")
    found = stop_of(remote, "far-1")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "attach", "1", "--scheduler", remote.scheduler.address],
        env=environment(TERM="dumb", NO_COLOR="1"), cwd=tmp_path, encoding="utf8",
        timeout=30, dimensions=(50, 200),
    )  # fmt: skip
    child.expect_exact("(Pdb) ")
    assert "6\n" in typed(child, "p y")
    child.sendline("c")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    gone(remote, found)
    assert future.result(10) == 7


def test_live_on_lasts_until_ctrl_c(processes, tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    command = ["-m", "dbgkit", "live", "on", "--scheduler", processes.scheduler_address]
    with out.open("w") as told, err.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=told, stderr=said, env=environment()
        )
    try:
        with Client(processes, set_as_default=False) as client:
            wait_until(lambda: "until Ctrl-C" in out.read_text(), "it waits")
            assert dbgkit.attach(client=client).armed
            future = client.submit(doubled, 3, key="commanded-1")
            stop_of(client, "commanded-1")
            wait_until(lambda: "commanded-1" in err.read_text(), "it is told")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, err.read_text()
            assert "goes on" in out.read_text()
            assert future.result(10) == 7
            nothing_left(client)
    finally:
        process.kill()
        process.wait()


def _cut(dask_scheduler, name):
    """Close the connections of the clients that have turned it on."""
    for arming in dask_scheduler.plugins[name].armings.values():
        dask_scheduler.client_comms[arming["owner"]].comm.abort()


def test_it_ends_with_its_connection_though_that_is_back_at_once(processes, tmp_path):
    out = tmp_path / "out"
    command = ["-m", "dbgkit", "live", "on", "--scheduler", processes.scheduler_address]
    with out.open("w") as told:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=told,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    try:
        with Client(processes, set_as_default=False) as client:
            wait_until(lambda: "until Ctrl-C" in out.read_text(), "it waits")
            client.run_on_scheduler(_cut, name=live_name())
            _, said = process.communicate(timeout=30)
            assert process.returncode == 2
            assert b"the connection to the scheduler is lost: nothing stops" in said
            nothing_left(client)
    finally:
        process.kill()
        process.wait()


def test_what_was_turned_on_knows_that_its_connection_was_lost(processes):
    with Client(processes) as client:
        with dbgkit.live() as live, dbgkit.break_at("load") as place:
            assert live.is_on and "stops in tasks" in repr(live)
            client.run_on_scheduler(_cut, name=live_name())
            wait_until(lambda: not live.is_on, "it knows")
            assert repr(live) == "<Live: off; dbgkit.live() turns it on again>"
            assert repr(place).startswith("<BreakAt: off;")
            wait_until(lambda: client.status == "running", "it is back")
            assert not live.is_on
        live = dbgkit.live()
        live.off()
        assert not live.is_on
        nothing_left(client)


@pytest.mark.parametrize("command", [("live", "on"), ("break-at", "lost")])
def test_it_ends_with_its_scheduler(tmp_path, command):
    with own_scheduler(tmp_path) as cluster:
        out = tmp_path / "out"
        with out.open("w") as told:
            words = ("-m", "dbgkit", *command, "--scheduler", cluster.address)
            process = subprocess.Popen(
                [sys.executable, *words],
                stdout=told,
                stderr=subprocess.PIPE,
                env=environment(),
            )
        try:
            wait_until(lambda: "until Ctrl-C" in out.read_text(), "it waits")
            cluster.kill()
            _, said = process.communicate(timeout=30)
            assert process.returncode == 2
            assert b"Error: the connection to the scheduler is lost" in said
        finally:
            process.kill()
            process.wait()


def test_usage(capsys):
    done = in_process(capsys, "live", "off", "--most", "3", "--scheduler", "tcp://x:1")
    assert done.code == 2 and "settings apply to `on` only" in done.err
    done = in_process(capsys, "attach", "--dump", "nosuch")
    assert done.code == 2 and "nothing runs in a dump" in done.err


# -- an editor in place of a prompt --------------------------------------------------


def test_attach_invites_an_editor(remote, tmp_path, monkeypatch):
    pytest.importorskip("debugpy")
    future = remote.submit(doubled, 3, key="edited-1")
    stop_of(remote, "edited-1")
    out = tmp_path / "out"
    left = []

    def attach():
        with out.open("w") as file, contextlib.redirect_stdout(file):
            left.append(dbgkit.attach("edited-1", debugger="debugpy"))

    thread = threading.Thread(target=attach)
    thread.start()
    found = invited(out)
    assert found["type"] == "debugpy" and found["request"] == "attach"
    assert found["justMyCode"] is False and "pathMappings" not in found
    assert "edited-1" in found["name"] and "not copies" in out.read_text()
    editor = Editor(found["connect"]["port"])
    editor.begin()
    assert editor.variables()["x"] == "3"
    editor.leave()
    thread.join(20)
    assert left[0].how == "detached" and not future.done()
    with pytest.raises(ValueError, match="is not one of"):
        dbgkit.attach("edited-1", debugger="gdb")
    assert enter(remote, stop_of(remote, "edited-1"), "p x", "c")[1] == "continued"
    assert future.result(10) == 7
    editor.close()


def test_the_command_invites_an_editor(remote, tmp_path):
    pytest.importorskip("debugpy")
    future = remote.submit(doubled, 3, key="edited-2")
    stop_of(remote, "edited-2")
    out, err = tmp_path / "out", tmp_path / "err"
    words = ("attach", "edited-2", "--debugger", "debugpy", "--scheduler")
    with out.open("w") as told, err.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "dbgkit", *words, remote.scheduler.address],
            stdout=told, stderr=said, env=environment(),
        )  # fmt: skip
    try:
        editor = Editor(invited(out)["connect"]["port"])
        assert editor.begin()[0]["name"] == "doubled"
        wait_until(lambda: "an editor has connected" in err.read_text(), "it is said")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, err.read_text()
        assert "it still waits" in err.read_text()
        editor.close()
    finally:
        process.kill()
        process.wait()
    assert enter(remote, stop_of(remote, "edited-2"), "p x", "c")[1] == "continued"
    assert future.result(10) == 7


def test_an_editor_shows_a_notebooks_cells(kernel, tmp_path):
    """They are no files: the editor asks for their text."""
    pytest.importorskip("debugpy")
    run_cell(kernel, "%dbg_live on --most 3")
    run_cell(
        kernel,
        """
        def fourth(x):
            squared = x * x
            breakpoint()
            found = squared * squared
            return found
        future = client.submit(fourth, 3, key="fourth-3")
        while not len(get_ipython().run_line_magic("dbg_live", "")):
            time.sleep(0.05)
        """,
    )
    out = tmp_path / "out"
    cell = f"""
        import contextlib
        with open({str(out)!r}, "w") as file, contextlib.redirect_stdout(file):
            %dbg_attach fourth-3 --debugger debugpy
        """
    with ThreadPoolExecutor() as pool:
        debugged = pool.submit(_debug_cell, out)
        run_cell(kernel, cell)
        debugged.result(20)
    assert "81" in run_cell(kernel, "future.result()")
    run_cell(kernel, "%dbg_live off")


def _debug_cell(out):
    with contextlib.closing(Editor(invited(out)["connect"]["port"])) as editor:
        frame = editor.begin()[0]
        source = frame["source"]
        assert source["name"].startswith("Cell In[") and frame["name"] == "fourth"
        text = editor.ask(
            "source", sourceReference=source["sourceReference"], source=source
        )["content"]
        line = text.splitlines().index("    return found") + 1
        assert text.splitlines()[frame["line"] - 1].strip() in (
            "breakpoint()",
            "found = squared * squared",
        )
        if WITH_PATHS:  # breakpoints in code by value need cloudpickle 3.1.3
            while editor.frames[0]["line"] != line:
                editor.go("next")
        else:
            wanted = [{"line": line}]
            found = editor.ask("setBreakpoints", source=source, breakpoints=wanted)
            assert found["breakpoints"][0]["verified"]
            assert editor.go("continue")[0]["line"] == line
        assert editor.variables()["found"] == "81"
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
