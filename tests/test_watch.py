"""The live screen, at a pseudo-terminal, and the frame that it shows."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from time import monotonic, sleep

import pexpect
import pytest
from commands import environment, in_process, start
from conftest import own_cluster
from distributed import Client, wait
from rich.console import Console
from shells import Kernel, Terminal
from tasks import boom, inc, ratio
from watching import clear_history, wait_until
from why_looks import flag
from why_tasks import loop_until

import dbgkit
from dbgkit.api.watch import Looks, glance
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.view import open_view
from dbgkit.errors import SchedulerGone
from dbgkit.model import Explanation, Failure, FailureGroup, FailureReport, Glance, Span
from dbgkit.render.text import Text
from dbgkit.render.watch_asking import Asking
from dbgkit.render.watch_keys import listening
from dbgkit.render.watch_list import Choice
from dbgkit.render.watch_overview import Overview
from dbgkit.render.watch_sections import Entry, Section, sections_of

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


@contextmanager
def watching(address, *options, **variables):
    """The screen at a terminal of 30 lines of 110 columns."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "watch", "--scheduler", address, "--every", "200ms", *options],
        dimensions=(30, 110),
        encoding="utf8",
        timeout=60,
        env=environment(TERM="xterm", COLUMNS="", LINES="", **variables),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def left(child):
    """What is said from now to the end, and the exit code."""
    child.expect(pexpect.EOF)
    child.close()
    return child.before, child.exitstatus


@pytest.fixture
def client():
    with own_cluster(processes=False, protocol="tcp", n_workers=1) as client:
        yield client


# -- at a terminal -----------------------------------------------------------


def test_states_and_failures_appear_as_they_come(client):
    with watching(client.scheduler.address) as child:
        child.expect_exact("Failures")
        child.expect_exact(": none")
        # WHEN tasks run, fail and hang
        held = client.map(inc, range(5), key="good")
        bad = client.submit(boom, 8, key="[/a/b]")
        stuck = client.submit(inc, 1, key="stuck-1", resources={"GPU": 1})
        # THEN each is shown, and that the failure is new
        child.expect_exact("5 memory")
        child.expect_exact(": 1 task failed")
        child.expect_exact("new ")
        child.expect_exact("ValueError: cannot take 8")
        child.expect_exact("resources-unmet")
        more = client.submit(boom, 9, key="another")
        child.expect_exact(": 2 tasks failed")
        child.send("q")
        # The last frame stays, and the code tells what was found.
        text, code = left(child)
        assert "2 tasks failed" in text
        assert code == 1
    del held, bad, stuck, more


def test_a_terminal_without_unicode_has_it_in_ascii(client):
    held = client.map(inc, range(5), key="good")
    wait(held)
    with watching(client.scheduler.address, PYTHONIOENCODING="ascii") as child:
        child.expect_exact("[########################] 5 memory")
        child.send("q")
        text, code = left(child)
        assert (code, text.isascii()) == (0, True)
    with watching(client.scheduler.address, PYTHONIOENCODING="utf8") as child:
        child.expect_exact("[████████████████████████] 5 memory")
        child.send("q")
        left(child)


@pytest.mark.parametrize(
    "call", ["%dbg_watch --client {}", "dbgkit.watch(client={!r})"]
)
def test_the_magic_and_the_call_take_the_screen_too(client, tmp_path, call):
    held = client.submit(boom, 8, key="bad-1")
    wait(held)
    terminal = Terminal(tmp_path, TERM="xterm")
    terminal.run("%load_ext dbgkit")
    terminal.run("import dbgkit")
    # WHEN the screen is left
    terminal.child.sendline(f"seen = {call.format(client.scheduler.address)}")
    terminal.child.expect_exact("cannot take 8")
    terminal.child.expect_exact("q quits")
    terminal.child.send("q")
    terminal.child.expect_exact("\x1b[?1049l")
    terminal.child.expect_exact("In [4]: ")
    terminal.number = 4
    # THEN it returns what was on it last, and the prompt takes input as before
    assert "1 False" in terminal.run("print(seen.failures.total, seen.healthy)")
    terminal.child.close(force=True)


def test_a_call_without_a_terminal_looks_once(client):
    seen = dbgkit.watch(client=client)
    assert (seen.address, seen.healthy) == (client.scheduler.address, True)


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_it_ends_with_0_if_nothing_was_wrong(client, key):
    with watching(client.scheduler.address) as child:
        child.expect_exact("Nothing is blocked")
        child.send(key)
        text, code = left(child)
    assert code == 0
    assert "Traceback" not in text
    assert "\x1b[?1049l" in text  # the screen was given back


def test_it_fits_into_a_window_that_changes(client):
    held = [client.submit(inc, n, key=f"{chr(97 + n) * 4}-1") for n in range(16)]
    wait(held)
    with watching(client.scheduler.address) as child:
        child.expect_exact("pppp")  # the last one
        child.setwinsize(16, 80)
        child.expect_exact("more lines")
        child.setwinsize(40, 110)
        child.expect_exact("pppp")
        child.send("q")
        assert left(child)[1] == 0


def port_of_our_own():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def scheduler_process(port):
    """A scheduler in a process of its own, with no worker."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
            *("--host", "127.0.0.1", "--port", str(port), "--dashboard-address", ":0"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )

    def listens():
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens, "the scheduler listens")
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_that_comes_back_is_watched_again():
    port = port_of_our_own()
    address = f"tcp://127.0.0.1:{port}"
    with watching(address) as child:
        with scheduler_process(port), Client(address, set_as_default=False) as client:
            homeless = client.submit(inc, 1, key="homeless-1")
            child.expect_exact("no-workers")
            del homeless
        child.expect_exact("no answer since")
        with scheduler_process(port):
            child.expect_exact("Nothing is blocked")
            child.send("q")
            assert left(child)[1] == 0


def test_a_scheduler_that_stays_away_ends_it():
    port = port_of_our_own()
    address = f"tcp://127.0.0.1:{port}"
    with (
        scheduler_process(port) as process,
        watching(address, "--timeout", "4s") as child,
    ):
        child.expect_exact("Nothing is blocked")
        process.kill()
        child.expect_exact("no answer since")
        text, code = left(child)
    assert code == 2
    assert "\x1b[?1049lError: " in text.replace("\x1b[?25h", "")
    assert "Traceback" not in text


def test_a_scheduler_that_hangs_is_told():
    port = port_of_our_own()
    with (
        scheduler_process(port) as process,
        watching(f"tcp://127.0.0.1:{port}") as child,
    ):
        child.expect_exact("Nothing is blocked")
        process.send_signal(signal.SIGSTOP)
        child.expect_exact("the scheduler is slow to answer")
        process.send_signal(signal.SIGCONT)
        # The keys are heard while an answer is awaited.
        child.send("q")
        assert left(child)[1] in (0, 1)


# -- the list ----------------------------------------------------------------


def test_an_entry_is_opened_and_leads_on(client):
    held = [client.submit(boom, 8, key="bad-1"), client.submit(inc, 1, key="good-1")]
    wait(held)
    address = client.scheduler.address
    with watching(address) as child:
        child.expect_exact("> ")  # the first failure is selected
        child.send("\r")
        child.expect_exact("go on")
        child.expect_exact(f"debug --scheduler {address} bad-1")
        child.expect_exact("raise ValueError")
        child.expect_exact("Esc goes back")
        # WHEN it goes while it is open
        del held[0]
        client.run_on_scheduler(clear_history)
        child.expect_exact("it is no longer there")
        # THEN what was seen of it stays until one goes back
        child.send("\x1b")
        child.expect_exact(": none")
        child.send("?")
        child.expect_exact("the entry above")
        child.send("?G\r")  # the last entry is a worker
        child.expect_exact("worker tcp://")
        child.expect_exact("running or waiting there")
        child.send("q")
        assert left(child)[1] == 0
    del held


def test_what_is_selected_stays_so_as_others_come():
    choice = Choice()
    choice.take(sections_of(a_glance(failures=report_of("E1", "E2"))))
    assert choice.at[1] == "E1"
    choice.press("down")
    choice.take(sections_of(a_glance(failures=report_of("E0", "E1", "E2"))))
    assert choice.at[1] == "E2"
    # WHEN it goes, its neighbour is next; and there is an end at both ends
    choice.take(sections_of(a_glance(failures=report_of("E0", "E1"))))
    assert choice.at is not None
    for key, kind in {"end": "cause", "home": "failure", "k": "failure"}.items():
        choice.press(key)
        assert choice.at[0] == kind
    choice.take([])
    choice.press("enter")
    assert choice.opened is None


def test_details_that_do_not_fit_are_scrolled_and_none_is_lost():
    choice = Choice()
    lines = [f"line {n}: {'x' * 100} end" for n in range(30)]
    wide = Text("\n".join(lines), no_wrap=True, overflow="ignore")  # as a command is
    entry = Entry(("x",), (Text("x"),), lambda: wide)
    choice.take([Section(Text("t"), (entry,))])
    choice.press("enter")
    console = Console(file=io.StringIO(), width=80, height=12, color_system=None)
    seen = ""
    for _ in range(60):
        with console.capture() as captured:
            console.print(choice.details(console, ""))
        text = captured.get()
        assert len(text.splitlines()) <= 12
        seen += text
        choice.press("down")
    assert all(f"line {n}:" in seen for n in range(30))
    assert "lines 51 to 60 of 60" in seen  # wide ones are folded


def report_of(*kinds):
    groups = tuple(group(kind, message=kind) for kind in kinds)
    return FailureReport(groups, 3 * len(groups), 0)


@pytest.mark.parametrize("height", [8, 12, 24])
@pytest.mark.parametrize("index", [0, 20, 39])
def test_what_is_selected_is_on_the_screen(height, index):
    choice = Choice()
    choice.take(sections_of(CROWDED))
    for _ in range(index):
        choice.press("j")
    text = printed(Overview(CROWDED, screen=True, at=choice.at), height=height)
    (line,) = [each for each in text.splitlines() if each.startswith("> ")]
    assert f" E{index}:" in line
    assert len(text.splitlines()) <= height


def test_secrets_are_hidden_in_all_lists():
    text = "no answer from postgres://ann:hunter2@db/sales"
    secret = a_glance(
        address="tcp://ann:hunter2@x:1",
        failures=FailureReport((group("E", message=text),), 1, 0, notes=(text,)),
        why=Explanation("failed", text, evidence=(text,), advice=(text,)),
    )
    shown = printed(Overview(secret), width=300)
    for section in sections_of(secret):
        for entry in section.entries:
            shown += printed(entry.details(), width=300)
    assert "hunter2" not in shown and shown.count("ann:<hidden>@") > 6


# -- the terminal is put back --------------------------------------------------


@contextmanager
def shell():
    """A shell with job control, at a terminal."""
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "--noediting", "-i"],
        dimensions=(30, 110),
        encoding="utf8",
        timeout=60,
        env=environment(TERM="xterm", PS1="", PROMPT_COMMAND="", COLUMNS="", LINES=""),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def settings(child, name):
    """How a shell finds its terminal, in one word."""
    child.sendline(f"echo {name}=$(stty -g)=")
    child.expect(rf"\r\n{name}=([0-9a-f:]+)=\r\n")
    return child.match[1]


@pytest.mark.parametrize("how", ["q", "\x03", "TERM", "HUP"], ids=repr)
def test_the_terminal_is_as_before_however_it_ends(client, how):
    command = f"{sys.executable} -m dbgkit watch --scheduler {client.scheduler.address}"
    with shell() as child:
        before = settings(child, "before")
        child.sendline(f"{command} --every 200ms & echo pid=$!=; fg")
        child.expect(r"pid=(\d+)=")
        pid = int(child.match[1])
        child.expect_exact("Nothing is blocked")
        number = getattr(signal, f"SIG{how}", None)
        if number is None:
            child.send(how)
        else:
            os.kill(pid, number)
        child.expect_exact("\x1b[?1049l")
        child.sendline("echo code=$?=")
        child.expect(r"code=(\d+)=")
        assert int(child.match[1]) == (128 + number if number else 0)
        assert settings(child, "after") == before


def test_it_is_suspended_and_continued(client):
    command = f"{sys.executable} -m dbgkit watch --scheduler {client.scheduler.address}"
    with shell() as child:
        before = settings(child, "before")
        child.sendline(f"{command} --every 200ms")
        child.expect_exact("Nothing is blocked")
        child.send("\x1a")
        child.expect_exact("\x1b[?1049l")
        child.expect_exact("Stopped")
        assert settings(child, "stopped") == before
        child.sendline("fg")
        child.expect_exact("\x1b[?1049h")
        child.expect_exact("Nothing is blocked")
        child.send("?")
        child.expect_exact("the entry above")
        child.send("q")
        child.expect_exact("\x1b[?1049l")
        assert settings(child, "after") == before


def test_the_terminal_is_as_before_where_something_breaks():
    import pty
    import termios

    main, other = pty.openpty()
    before = termios.tcgetattr(other)
    with open(other, closefd=False) as terminal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", terminal)
        with pytest.raises(KeyError), listening() as pressed:
            assert termios.tcgetattr(other)[3] != before[3]
            os.write(main, b"\x1b[")
            os.write(main, b"B")
            assert pressed() == ["down"]
            raise KeyError
    assert termios.tcgetattr(other) == before
    os.close(main)
    os.close(other)


# -- without one -------------------------------------------------------------


def test_once_without_a_terminal(client, capsys):
    bad = [client.submit(ratio, 1, 0, key="zero-1"), client.submit(boom, 8)]
    fallen = client.submit(inc, bad[0], key="fallen-1")
    wait([*bad, fallen])
    where = ("--scheduler", client.scheduler.address)
    done = in_process(capsys, "watch", "--updates", "1", *where)
    assert (done.code, done.err) == (1, "")
    assert "2 tasks failed in 2 ways; 1 more failed because of them" in done.out
    once = in_process(capsys, "watch", "--once", *where)
    assert (once.code, once.err) == (1, "")
    told = json.loads(in_process(capsys, "watch", "--json", *where).out)
    assert told["failures"]["total"] == 2
    assert told["workers"] == {"running": 1}
    (worker,) = told["loads"]
    assert (worker["status"], worker["threads"]) == ("running", 2)
    assert worker["memory"] > 0
    assert told["summary"]["zero"] == {"erred": 1}


def count_questions(dask_scheduler, name):
    """Have a scheduler count what it is asked from now on: some at each look."""
    ask = dask_scheduler.handlers[name]
    dask_scheduler.questions = 0

    async def counted(**question):
        dask_scheduler.questions += 1
        return await ask(**question)

    dask_scheduler.handlers[name] = counted


def questions(dask_scheduler):
    return dask_scheduler.questions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_each_change_is_printed(client, number):
    process = start(
        "watch", "--scheduler", client.scheduler.address, "--every", "100ms"
    )
    blocks = []

    def read():
        for line in process.stdout:
            blocks.append(line.decode())

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: "Workers" in "".join(blocks), "the first block")
    held = client.submit(boom, 8, key="bad-1")
    wait_until(lambda: "cannot take 8" in "".join(blocks), "the second one")
    client.run_on_scheduler(count_questions, name=f"{extension_name()}-ask")
    more = "more looks, at what has not changed: no block comes"
    wait_until(lambda: client.run_on_scheduler(questions) > 20, more)
    process.send_signal(number)
    assert process.wait(30) == (1 if number == signal.SIGINT else -number)
    reader.join()
    text = "".join(blocks)
    assert "\x1b" not in text and process.stderr.read() == b""
    assert 2 <= text.count("\nTasks") <= 4
    process.stdout.close()
    process.stderr.close()
    del held


def test_it_ends_quietly_where_nobody_reads_any_longer(client):
    process = start(
        "watch", "--scheduler", client.scheduler.address, "--every", "100ms"
    )
    process.stdout.readline()
    process.stdout.close()
    held = client.submit(boom, 8, key="bad-1")
    assert process.wait(30) in (1, 2)
    assert process.stderr.read() == b""
    process.stderr.close()
    del held


def test_updates_are_as_many_as_were_asked_for(client, capsys):
    where = ("--scheduler", client.scheduler.address, "--every", "50ms")
    assert in_process(capsys, "watch", "--updates", "3", *where).code == 0
    assert dbgkit.watch(client=client, every="50ms", updates=3).healthy
    with pytest.raises(ValueError, match="updates=0"):
        dbgkit.watch(client=client, updates=0)


# -- in a notebook -----------------------------------------------------------


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.stop()


def outputs(kernel, code, *, takes_input=True, stop_after=None):
    """Types and texts of what a cell displays, and how it ended."""
    found = []

    def hear(message):
        if message["msg_type"] in ("display_data", "update_display_data"):
            content = message["content"]
            found.append((message["msg_type"], content["data"]["text/plain"]))
            ids.add(content["transient"]["display_id"])
        elif message["msg_type"] in ("execute_result", "stream", "error"):
            found.append((message["msg_type"], str(message["content"])))
        if len(found) == stop_after:
            kernel.manager.interrupt_kernel()

    ids = set()
    reply = kernel.client.execute_interactive(
        code, allow_stdin=takes_input, output_hook=hear, timeout=60
    )
    assert len(ids) <= 1
    return reply["content"]["status"], found


def test_a_notebook_updates_its_output_in_place(client, kernel):
    address = client.scheduler.address
    assert outputs(kernel, "%load_ext dbgkit") == ("ok", [])
    line = f"%dbg_watch --client {address} --every 100ms"
    status, found = outputs(kernel, f"{line} --updates 3")
    kinds = ["display_data", "update_display_data", "update_display_data"]
    assert (status, [kind for kind, _ in found]) == ("ok", kinds)
    assert all("Nothing is blocked" in text for _, text in found)
    # WHEN the cell is interrupted
    status, found = outputs(kernel, line, stop_after=4)
    assert status == "ok" and len(found) >= 4
    assert {kind for kind, _ in found} == {*kinds}


def test_where_nobody_can_interrupt_a_notebook_there_is_one_update(client, kernel):
    outputs(kernel, "%load_ext dbgkit")
    line = f"%dbg_watch --client {client.scheduler.address}"
    status, found = outputs(kernel, line, takes_input=False)
    assert (status, [kind for kind, _ in found]) == ("ok", ["execute_result"])


def test_a_glance_counts_and_looks_at_no_task_without_need(client):
    held = client.map(inc, range(30))
    wait(held)
    with open_view(None, client, 30) as view:
        seen = glance(view)
    assert seen.healthy
    assert seen.summary == {"inc": {"memory": 30}}
    assert (seen.workers, seen.threads) == ({"running": 1}, 2)
    assert seen.address == client.scheduler.address
    assert seen.taken.start <= seen.taken.end


def test_looks_share_a_connection_and_connect_anew_after_an_error(client):
    opened = []

    @contextmanager
    def connect():
        opened.append("opened")
        if len(opened) == 1:
            raise SchedulerGone("not there yet")
        with open_view(None, client, 30) as view:
            yield view
        opened.append("closed")

    look = Looks(connect)
    with pytest.raises(SchedulerGone):
        look()
    assert look().healthy and look().healthy
    look.close()
    assert opened == ["opened", "opened", "closed"]


# -- when to look ------------------------------------------------------------


def a_glance(**fields):
    return Glance(
        **{
            "address": "tcp://x:1",
            "taken": Span(NOW, NOW),
            "took": 0.01,
            "failures": FailureReport((), 0, 0),
            "why": Explanation("finished", "nothing is waiting"),
            **fields,
        }
    )


def test_looks_never_overlap_and_leave_as_much_time_as_they_take():
    times, inside = [], threading.Semaphore(1)

    def look():
        assert inside.acquire(blocking=False), "two at once"
        began = monotonic()
        sleep(0.1)
        times.append((began, monotonic()))
        inside.release()
        return a_glance()

    screen = Asking(look, every=0.0, patience=10.0)
    wait_until(lambda: screen.turn() or len(times) == 4, "four looks")
    for (_, end), (begin, _) in pairwise(times):
        assert begin - end >= 0.09


def test_an_error_that_is_none_of_ours_is_raised():
    def look():
        raise KeyError("a mistake")

    screen = Asking(look, every=1.0, patience=10.0)
    with pytest.raises(KeyError):
        wait_until(screen.turn, "it is raised")


# -- the frame ---------------------------------------------------------------

HOSTILE = "[/a/b] <b>\n\x1b[31m\x1b]0;x\x07 é \ud800"


def printed(form, width=80, height=24):
    console = Console(
        file=io.StringIO(), width=width, height=height, color_system=None, markup=False
    )
    with console.capture() as captured:
        console.print(form)
    return captured.get()


def group(kind, **fields):
    return FailureGroup(
        **{
            "exception_type": kind,
            "message": HOSTILE,
            "location": f"{HOSTILE}.py:1 in f",
            "count": 3,
            "cascaded": 0,
            "forgotten": 0,
            "workers": (),
            "first": NOW,
            "last": NOW,
            "keys": (),
            "omitted_keys": 0,
            "example": Failure(key="x", name="x", exception_type=kind, message=HOSTILE),
            **fields,
        }
    )


CROWDED = a_glance(
    address=f"tcp://{HOSTILE}",
    summary={f"{HOSTILE}{n}": {"erred": n + 1, "memory": 10**n} for n in range(40)},
    failures=FailureReport(tuple(group(f"E{n}") for n in range(40)), 120, 7),
    why=Explanation(
        "failed",
        HOSTILE * 9,
        advice=(HOSTILE,),
        others=tuple(Explanation("no-workers", HOSTILE) for _ in range(40)),
        notes=(HOSTILE,),
    ),
    workers={"running": 2, "paused": 1},
)


@pytest.mark.parametrize("height", [10, 24, 60, 200])
def test_a_frame_fits_and_counts_what_is_cut(height):
    text = printed(Overview(CROWDED, trouble=HOSTILE, screen=True), height=height)
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= height
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in text and "\x07" not in text
    assert "(1 paused)" in text
    assert "120 tasks failed" in text
    if height == 24:
        assert "more lines" in text


def test_what_has_failed_since_the_beginning_is_marked():
    first = a_glance(failures=FailureReport((group("E1"),), 3, 0))
    now = (group("E1", count=5), group("E2"))
    text = printed(
        Overview(a_glance(failures=FailureReport(now, 8, 0)), first=first), width=200
    )
    assert "5 +2 E1" in text
    assert "3 new E2" in text


def test_a_state_that_is_there_at_all_is_in_the_bar():
    counts = {"memory": 1_000_000, "erred": 1, "processing": 2, "no-worker": 1}
    text = printed(Overview(a_glance(summary={"load": counts})), width=120)
    bar = text[text.index("load [") + 6 :].partition("]")[0]
    assert len(bar) == 24
    assert [bar.count(letter) for letter in "█▒?×"] == [21, 1, 1, 1]
    assert "1,000,000 memory, 2 processing, 1 no-worker, 1 erred" in text


def test_a_busy_cluster_is_not_wrong(client, tmp_path):
    with flag(tmp_path) as path, open_view(None, client, 30) as view:
        future = client.submit(loop_until, path, key="busy-1")
        wait_until(
            lambda: glance(view).summary.get("busy") == {"processing": 1}, "it runs"
        )
        assert glance(view).healthy
    assert future.result(30) == path
