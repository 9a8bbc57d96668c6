"""``%dbg_failures``, ``%dbg_tasks``, ``%dbg_story`` and ``%dbg_why``."""

from __future__ import annotations

import re
import signal
import threading

import pytest
from distributed import Client, Event, wait
from shells import Kernel, Terminal, complete, shell_of_its_own
from tasks import boom, ratio
from watching import clear_history, forgotten, state_of, wait_until
from why_tasks import first, inc, wait_for

from dbgkit.model import (
    ClusterReport,
    Explanation,
    FailureReport,
    Glance,
    TaskTable,
    Timeline,
)

MAGICS = ("dbg_failures", "dbg_tasks", "dbg_story", "dbg_why")
ODD = "[/a/b] 'x' {y} $z"


@pytest.fixture(scope="module")
def held(inproc):
    """A client as the current one, and what it holds: failed, stuck, and done."""
    with Client(inproc) as client:
        forgotten(client)
        client.run_on_scheduler(clear_history)
        futures = {
            "bad": client.map(boom, range(3), key=[f"bad-{n}" for n in range(3)]),
            "odd": client.submit(ratio, 1, 0, key=ODD),
            "done": client.submit(inc, 1, key=("done", 0)),
            "stuck": client.submit(wait_for, "event", "magic", key="stuck-1"),
        }
        futures["waiting"] = client.submit(first, futures["stuck"], key="waiting-1")
        wait([*futures["bad"], futures["odd"], futures["done"]])
        wait_until(
            lambda: (
                client.run_on_scheduler(state_of, key="waiting-1") == "waiting"
                and client.run_on_scheduler(state_of, key="stuck-1") == "processing"
            ),
            "a task is stuck, and one waits for it",
        )
        yield futures
        Event("magic", client=client).set()
        futures["waiting"].result(30)


@pytest.fixture(scope="module")
def dump(held, tmp_path_factory):
    path = tmp_path_factory.mktemp("magic dump") / "state"
    held["odd"].client.dump_cluster_state(str(path))
    return f"{path}.msgpack.gz"


@pytest.fixture
def shell(tmp_path, held):
    with shell_of_its_own(tmp_path) as shell:
        shell.extension_manager.load_extension("dbgkit")
        shell.user_ns.update(held, inc=inc)
        yield shell
        shell.extension_manager.unload_extension("dbgkit")


def run(shell, line):
    """What a magic returns."""
    magic, _, rest = line.removeprefix("%").partition(" ")
    return shell.run_line_magic(magic, rest)


def refused(shell, line, capsys):
    """The line that IPython shows of what a magic raises."""
    result = shell.run_cell(line)
    assert result.error_in_exec is not None
    said = capsys.readouterr()
    (shown,) = (said.out + said.err).strip().splitlines()
    return shown


# -- what they give ----------------------------------------------------------


def test_each_gives_what_its_call_gives(shell):
    report = run(shell, "%dbg_failures")
    assert isinstance(report, FailureReport)
    assert (report.total, len(report.groups)) == (4, 2)
    table = run(shell, "%dbg_tasks")
    assert isinstance(table, TaskTable)
    assert table.matched == 7
    story = run(shell, "%dbg_story bad-1")
    assert isinstance(story, Timeline)
    assert story.key == "bad-1"
    why = run(shell, "%dbg_why waiting-1")
    assert isinstance(why, Explanation)
    assert (why.cause, why.key) == ("waiting-on", "stuck-1")
    report = run(shell, "%dbg_report --timeout 20s")
    assert isinstance(report, ClusterReport)
    assert report.failures.total == 4
    seen = run(shell, "%dbg_watch")  # once, as there is no terminal
    assert isinstance(seen, Glance)
    assert seen.failures.total == 4


def test_a_report_is_written_where_a_magic_says(shell, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert run(shell, f"%dbg_report --output {page}") is None
    assert capsys.readouterr().out == f"written to {page}\n"
    assert "ValueError" in page.read_text("utf-8")
    told = refused(shell, f"%dbg_report --output {tmp_path}", capsys)
    assert told == f"CannotWrite: cannot write '{tmp_path}': it is a folder"


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ("--failed", {"bad-0", "bad-1", "bad-2", ODD}),
        ("--not-failed --state erred,memory", {("done", 0)}),
        ("--state memory --state processing", {("done", 0), "stuck-1"}),
        ("--prefix bad --sort -key --limit 1", {"bad-2"}),
        ("bad-*", {"bad-0", "bad-1", "bad-2"}),
        ("('done', 0)", {("done", 0)}),
        (ODD, {ODD}),
        ("odd", {ODD}),
        ("bad[:2]", {"bad-0", "bad-1"}),
        ("--worker nowhere", set()),
    ],
)
def test_tasks_takes_filters_and_keys(shell, options, keys):
    assert {row.key for row in run(shell, f"%dbg_tasks {options}").rows} == keys


def test_failures_takes_filters(shell):
    assert run(shell, "%dbg_failures --limit 1").omitted == 1
    assert run(shell, '%dbg_failures --since "2 hours"').total == 4
    assert run(shell, "%dbg_failures --span nothing").total == 0


def test_a_target_may_be_a_variable_or_a_key(shell):
    assert run(shell, "%dbg_story odd").key == ODD
    assert run(shell, f"%dbg_story {ODD}").key == ODD
    assert run(shell, "%dbg_story ('done', 0)").key == ("done", 0)
    assert run(shell, "%dbg_why stuck").key == "stuck-1"
    assert run(shell, f"%dbg_why {ODD}").cause == "failed"
    assert run(shell, "%dbg_why done").cause == "finished"


def test_a_name_that_is_no_variable_is_said_to_be_none(shell):
    assert run(shell, "%dbg_why pictur").notes == ("variable 'pictur' does not exist",)


def test_a_collection_is_asked_for_its_keys_not_computed(shell):
    import dask

    shell.user_ns["total"] = dask.delayed(boom)(1, dask_key_name="never-computed")
    table = run(shell, "%dbg_tasks total")
    assert table.rows == ()
    assert table.notes == ("no such task: 'never-computed'",)


def test_a_dump_in_place_of_a_cluster(shell, dump):
    for name in ("", "--timeout 5s "):
        report = run(shell, f'%dbg_failures {name}--dump "{dump}"')
        assert report.total == 4
    shell.user_ns["path"] = dump
    assert run(shell, "%dbg_tasks --dump path bad-*").matched == 3
    assert run(shell, "%dbg_story --dump path bad-1").key == "bad-1"
    assert run(shell, "%dbg_why waiting-1 --dump path").key == "stuck-1"


def test_failures_of_one_client_and_since_a_moment(shell, held):
    shell.user_ns["mine"] = held["odd"].client
    assert run(shell, "%dbg_failures --of-client mine").total == 4
    assert run(shell, "%dbg_failures --of-client Client-nobody").total == 0
    assert run(shell, "%dbg_failures --since 2001-01-01T00:00").total == 4


def test_another_client_or_an_address(shell, held, inproc, capsys):
    shell.user_ns["mine"] = held["odd"].client
    assert run(shell, "%dbg_failures --client mine").total == 4
    address = inproc.scheduler_address
    assert run(shell, f"%dbg_tasks --client {address}").matched == 7
    # An address needs no option, as on the command line.
    assert run(shell, f"%dbg_tasks {address}").matched == 7
    assert run(shell, f"%dbg_failures {address} --limit 1").total == 4
    assert "takes options only, not 'mine'; a client is named with --client mine" in (
        refused(shell, "%dbg_failures mine", capsys)
    )


@pytest.mark.parametrize("magic", MAGICS)
def test_a_semicolon_silences(shell, magic):
    target = "bad-1" if magic == "dbg_story" else ""
    assert run(shell, f"%{magic} {target};") is None
    assert run(shell, f"%{magic} {target}") is not None


# -- what they refuse --------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%dbg_failures bad-1", "UsageError: %dbg_failures takes options only"),
        ("%dbg_failures --since 5 minutes", "takes options only, not 'minutes'"),
        ("%dbg_failures --since soon", "--since: invalid time 'soon'"),
        (
            "%dbg_tasks --limit none",
            "--limit: invalid number 'none': a whole number from 1",
        ),
        ("%dbg_tasks --state", "UsageError: %dbg_tasks: --state needs a value"),
        (
            "%dbg_tasks --state errd",
            "state 'errd' does not exist; did you mean 'erred'?",
        ),
        ("%dbg_tasks --sort size", "column 'size' does not exist"),
        ("%dbg_tasks inc", "for tasks named inc, --prefix inc"),
        ("%dbg_why --failed", "no option --failed; available: --client, --dump"),
        ("%dbg_why inc", "unsupported target: a function"),
        ("%dbg_story nonsense", "variable 'nonsense' does not exist either"),
        ("%dbg_story --dump nothing.gz bad-1", "DumpUnreadable: "),
        ("%dbg_why --client 5", "SchedulerGone: no scheduler answers at '5'"),
        ("%dbg_why --client inc", "--client takes a Client or an address"),
        (
            "%dbg_why --client nobody",
            "variable 'nobody' does not exist; --client takes",
        ),
        ("%dbg_failures --of-client nobody", "a client's variable, or its id"),
        ("%dbg_why tcp://127.0.0.1:9 inc", "is an address, not a target"),
    ],
)
def test_an_error_is_one_line(shell, line, said, capsys):
    if "SchedulerGone" in said:
        line = "%dbg_why --timeout 1s --client tcp://127.0.0.1:9"
        said = "SchedulerGone: no scheduler answers at 'tcp://127.0.0.1:9'"
    assert said in refused(shell, line, capsys)


def test_ctrl_c_is_one_line_too(shell, held, capsys, monkeypatch):
    def interrupted(*args, **options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("dbgkit.api.why.why", interrupted)
    assert threading.current_thread() is threading.main_thread()
    assert refused(shell, "%dbg_why", capsys) == "KeyboardInterrupt"


# -- completion --------------------------------------------------------------


def test_completes_keys_that_are_worth_asking_about(shell):
    assert {"stuck-1", "stuck"} <= set(complete(shell, "%dbg_why stu"))
    assert "done" in complete(shell, "%dbg_why do")  # the variable
    assert "bad-1" in complete(shell, "%dbg_story bad-")
    assert "waiting-1" in complete(shell, "%dbg_tasks wait")
    assert "bad-1" not in complete(shell, "%dbg_failures bad-")


def test_completes_options_and_their_values(shell):
    for typed, offered in (
        ("%dbg_tasks --st", "--state"),
        ("%dbg_tasks --state er", "erred"),
        ("%dbg_tasks --state=no-", "no-worker"),
        ("%dbg_tasks --state erred,mem", "memory"),
        ("%dbg_tasks --sort nb", "nbytes"),
        ("%dbg_tasks --sort -nb", "-nbytes"),
        ("%dbg_failures --si", "--since"),
        ("%dbg --where pro", "process"),
    ):
        assert offered in complete(shell, typed), typed
    assert "bad-1" not in complete(shell, "%dbg_story --client b")


# -- how they are shown ------------------------------------------------------

CLUSTER = """
from distributed import Client, Event, wait
from why_tasks import wait_for
client = Client(
    n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
)
bad = client.submit(divmod, 7, 0, key="bad-[/b]")
stuck = client.submit(wait_for, "event", "shown", key="stuck-1")
_ = wait(bad)
"""
LOAD = "%load_ext dbgkit"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "magic_cluster.py").write_text(CLUSTER)
    shell = Terminal(folder)
    for line in (LOAD, "from magic_cluster import *"):
        assert "Traceback (most" not in (said := shell.run(line)), said
    yield shell
    shell.run("Event('shown').set(); client.close(); client.cluster.close()")
    shell.child.close(force=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%dbg_failures", "ZeroDivisionError"),
        ("%dbg_tasks --failed", "bad-[/b]"),
        ("%dbg_story bad", "processing → erred"),
        ("%dbg_why stuck", "lock-wait"),
    ],
)
def test_a_terminal_shows_it_once(terminal, line, said):
    out = terminal.run(line)
    assert len(re.findall(r"Out\[\d+\]:", out)) == 1
    assert said in out
    assert said in terminal.run("_")
    assert "Out[" not in terminal.run(f"kept = {line}")
    assert "Out[" not in terminal.run(f"{line} ;")
    assert said in terminal.run("kept")


def test_the_last_failure_is_the_one_that_was_opened(terminal):
    terminal.run("bad.result()")
    terminal.run("%dbg", "q")
    assert "bad-[/b]" in terminal.run("%dbg_story")


def test_a_terminal_has_colours_and_its_own_width(tmp_path):
    shell = Terminal(tmp_path, TERM="xterm-256color", NO_COLOR="")
    shell.child.setwinsize(50, 72)
    try:
        for line in (
            LOAD,
            "from distributed import Client, wait",
            "client = Client(n_workers=1, processes=False, dashboard_address=':0')",
            "bad = client.submit(divmod, 7, 0, key='bad-1'); _ = wait(bad)",
        ):
            shell.run(line)
        out = shell.run_raw("%dbg_failures")
        assert re.search(r"\x1b\[\d", out.partition("Out[")[2])
        assert max(map(len, shell.run("%dbg_failures").splitlines())) <= 72
        shell.run("client.close(); client.cluster.close()")
    finally:
        shell.child.close(force=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in (LOAD, CLUSTER):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel
    kernel.run("Event('shown').set(); client.close(); client.cluster.close()")
    kernel.stop()


@pytest.mark.parametrize(
    "line",
    ["%dbg_failures", "%dbg_tasks", "%dbg_story bad", "%dbg_why stuck"],
)
def test_a_notebook_shows_html_once(kernel, line):
    for code in (line, f"x = 1\n{line}"):
        status, parts = kernel.run_parts(code)
        assert status == "ok", parts
        assert [kind for kind, _ in parts] == ["text/plain", "text/html"]
        assert "[/b]" in dict(parts)["text/html"] or "stuck-1" in str(parts)
    assert kernel.run_parts(f"{line} ;") == ("ok", [])
    assert kernel.run_parts(f"kept = {line}") == ("ok", [])


def test_an_asynchronous_client_is_to_be_awaited(kernel):
    kernel.run(
        "other = await Client(client.cluster.scheduler_address, asynchronous=True)"
    )
    try:
        for line, call in (
            ("%dbg_failures --limit 3", "failures(limit=3)"),
            ("%dbg_tasks bad-* --failed", "tasks(keys='bad-*', failed=True)"),
            ("%dbg_story bad-[/b]", "story('bad-[/b]')"),
            ("%dbg_why --client other", "why(client=other)"),
        ):
            status, said = kernel.run(line)
            assert status == "error"
            assert said.strip() == (
                "UsageError: the client is asynchronous: "
                f"`await dbgkit.{call}` in a cell"
            )
            status, said = kernel.run(f"import dbgkit; await dbgkit.{call}")
            assert status == "ok", said
    finally:
        kernel.run("await other.close()")
