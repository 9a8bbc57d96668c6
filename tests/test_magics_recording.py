"""``%dbg_record``, ``%dbg_deaths``, and ``%dbg`` in a recording."""

from __future__ import annotations

import asyncio

import pytest
from distributed import Client, wait
from IPython.core.error import UsageError
from recorder_tasks import told
from shells import Kernel, Terminal, shell_of_its_own
from tasks import ratio
from watching import forgotten, settings_on, wait_until

import dbgkit
from dbgkit.model import Deaths, Recordings


@pytest.fixture
def shell(tmp_path, inproc):
    """A shell with a client, and the recorder off at the end."""
    with Client(inproc) as client, shell_of_its_own(tmp_path) as shell:
        forgotten(client)
        shell.extension_manager.load_extension("dbgkit")
        shell.user_ns.update(client=client)
        yield shell
        dbgkit.record().off()


def fail(shell):
    future = shell.user_ns["client"].submit(ratio, 1, 0, pure=False)
    wait(future)
    shell.user_ns["future"] = future
    return future


def test_on_show_and_off(shell, capsys):
    shell.run_line_magic("dbg_record", "on")
    assert "is on" in capsys.readouterr().out
    future = fail(shell)
    held = shell.run_line_magic("dbg_record", "")
    assert isinstance(held, Recordings)
    assert held[0].key == future.key
    shell.run_line_magic("dbg_record", "off")
    assert "is off" in capsys.readouterr().out
    assert shell.run_line_magic("dbg_record", "").since is None


def test_options_of_on(shell):
    shell.run_line_magic("dbg_record", "on --hold 2MB --client client")
    assert shell.run_line_magic("dbg_record", "").hold == 2_000_000


def test_all_settings_of_on(shell):
    shell.run_line_magic(
        "dbg_record",
        "on --hold 2MB --keep-inputs 1MB --nbytes 9kB --kept 8 --time 50ms "
        "--secret-names a,salary --secret-names pair --dashboard --timeout 20s",
    )
    assert settings_on(shell.user_ns["client"]) == {
        "hold": 2_000_000,
        "keep_inputs": 1_000_000,
        "nbytes": 9_000,
        "kept": 8,
        "seconds": 0.05,
        "secret_names": ["a", "salary", "pair"],
        "dashboard": True,
    }
    fail(shell)
    (recording,) = shell.run_line_magic("dbg_record", "")
    seen = told(recording, "ratio")
    assert (seen["a"], seen["b"]) == ("<hidden>", "0")


def test_most_of_what_there_is(shell):
    shell.run_line_magic("dbg_record", "on")
    for _ in range(3):
        fail(shell)
    held = shell.run_line_magic("dbg_recordings", "--limit 2")
    assert (len(held), held.omitted) == (2, 1)
    assert isinstance(shell.run_line_magic("dbg_deaths", "--limit 1"), Deaths)


@pytest.mark.parametrize(
    "magic", ["dbg_deaths", "dbg_doctor", "dbg_failures", "dbg_recordings"]
)
def test_source_can_be_named_for_whatever_shows_code(shell, magic):
    assert shell.run_line_magic(magic, f"--source {__file__}") is not None
    with pytest.raises(UsageError, match=r"'no_such\.py' does not exist"):
        shell.run_line_magic(magic, "--source no_such.py")


@pytest.mark.parametrize("line", ["perhaps", "off --hold 2MB", "on --hold lots"])
def test_what_cannot_be_understood_is_a_line(shell, line):
    with pytest.raises(UsageError):
        shell.run_line_magic("dbg_record", line)


def test_dbg_enters_the_recording_where_nobody_can_type(shell, capsys):
    shell.run_line_magic("dbg_record", "on")
    fail(shell)
    shell.run_line_magic("dbg", "--using recording --no-prompt future")
    out = capsys.readouterr().out
    assert "as recorded on the worker" in out
    assert "ZeroDivisionError" in out


def test_deaths(shell):
    assert isinstance(shell.run_line_magic("dbg_deaths", ""), Deaths)
    with pytest.raises(UsageError, match="options only"):
        shell.run_line_magic("dbg_deaths", "worker-1")


def test_an_asynchronous_client_is_told_what_to_call(tmp_path):
    async def job(shell):
        async with Client(
            processes=False, n_workers=1, dashboard_address=":0", asynchronous=True
        ) as client:
            shell.user_ns.update(client=client)
            with pytest.raises(UsageError, match=r"await dbgkit\.record"):
                shell.run_line_magic("dbg_record", "on --client client")

    with shell_of_its_own(tmp_path) as shell:
        shell.extension_manager.load_extension("dbgkit")
        asyncio.run(job(shell))


# A failure that does not happen again.
FLAKY = """
import pathlib
from distributed import Client, wait
def flaky(path, seen=(1, 2)):
    lost = not pathlib.Path(path).exists()
    pathlib.Path(path).touch()
    return sum(seen) / (not lost)
client = Client(n_workers=1, processes=False, dashboard_address=":0")
"""
CLOSE = "client.close(); client.cluster.close()"


def test_a_flaky_failure_in_ipython(tmp_path):
    (tmp_path / "flaky_job.py").write_text(FLAKY)
    terminal = Terminal(tmp_path)
    for line in ("%load_ext dbgkit", "from flaky_job import *", "%dbg_record on"):
        assert "Traceback (most" not in (said := terminal.run(line)), said
    terminal.run("future = client.submit(flaky, 'seen-it'); _ = wait(future)")
    # The prompt opens in the recording, as the replay passes.
    said = terminal.run("%dbg future", "p lost, sum(seen) + 1", "ll", "q")
    assert "outcome passed" in said
    assert "(True, 4)" in said
    assert "return sum(seen) / (not lost)" in said
    terminal.run(CLOSE)
    terminal.child.close(force=True)


def test_a_flaky_failure_in_a_notebook(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        for code in ("%load_ext dbgkit", FLAKY, "%dbg_record on"):
            status, said = kernel.run(code)
            assert status == "ok", said
        kernel.run("future = client.submit(flaky, 'seen-it'); _ = wait(future)")
        status, said = kernel.run("%dbg future", "p lost, sum(seen) + 1", "q")
        assert (status, "(True, 4)" in said) == ("ok", True), said
        status, parts = kernel.run_parts("%dbg_record")
        html = dict(parts)["text/html"]
        assert "ZeroDivisionError" in html and "lost" in html
        # The source of a cell is here alone.
        status, said = kernel.run("import dbgkit; print(dbgkit.recordings(future)[0])")
        assert "return sum(seen) / (not lost)" in said, said
    finally:
        kernel.run(CLOSE)
        kernel.stop()


def test_failures_are_held_and_entered_by_a_number(shell, capsys):
    shell.run_line_magic("dbg_record", 'on --keep-frames "10 min" --most 2')
    assert "%dbg_attach lists failures that are held" in capsys.readouterr().out
    fail(shell)
    wait_until(lambda: shell.run_line_magic("dbg_attach", "").held, "one is held")
    shell.run_line_magic("dbg_attach", "1 --no-prompt")
    shown = capsys.readouterr().out
    assert "ZeroDivisionError: division by zero" in shown
    assert "without a command it is let go in" in shown
    shell.run_line_magic("dbg_record", "off")
    assert not shell.run_line_magic("dbg_attach", "")


def test_settings_of_on_that_are_none_are_one_line(shell):
    with pytest.raises(UsageError, match="most=2: it goes with keep_frames"):
        shell.run_line_magic("dbg_record", "on --most 2")
