"""``dbgkit peek`` and ``%dbg_peek``: what is typed, shown and offered."""

from __future__ import annotations

import json

import peek_tasks
import pytest
from click.shell_completion import ShellComplete
from commands import ended, in_process, start
from conftest import own_cluster
from distributed import Client, wait
from shells import complete, shell_of_its_own
from watching import wait_until

import dbgkit
from dbgkit.errors import NotRunning
from dbgkit.frontends.cli.main import cli
from dbgkit.model import Peek


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A client, and futures of what runs, waits and is done."""
    path = tmp_path_factory.mktemp("peek") / "go"
    with own_cluster(processes=False, protocol="tcp", n_workers=1) as client:
        done = client.submit(len, "ab", key="fronts-done")
        wait(done)
        futures = {
            "done": done,
            "runs": client.submit(peek_tasks.with_locals, str(path), key="fronts-1"),
            "tuple": client.submit(
                peek_tasks.wait_there, str(path), key=("fronts-x", 0)
            ),
        }
        futures["waits"] = client.submit(len, futures["runs"], key="fronts-waits")
        wait_until(lambda: len(dbgkit.peek(client=client)) == 2, "both run")
        yield client, futures
        path.touch()
        wait([*futures.values()])


@pytest.fixture
def command(capsys, running):
    there = running[0].scheduler.address
    return lambda *args: in_process(capsys, "peek", *args, "--scheduler", there)


def test_the_command_shows_a_task(command):
    done = command("fronts-1", "--times", "4", "--every", "10ms")
    assert (done.code, done.err) == (0, "")
    assert "1 task runs now; 4 samples within" in done.out
    assert "in with_locals" in done.out and "% █" in done.out
    assert "horse" not in done.out
    assert "numbers" not in command().out.partition("fronts-x")[0].partition("task")[0]


def test_the_command_shows_all_that_runs_as_json(command):
    done = command("--json", "--limit", "1")
    found = json.loads(done.out)
    assert (done.code, found["omitted"], len(found["tasks"])) == (0, 1, 1)
    (task,) = found["tasks"]
    assert task["frames"][0]["locals"] and task["lines"][0]["share"] == 1.0
    done = command("('fronts-x', 0)", "--json")
    assert json.loads(done.out)["tasks"][0]["key"] == "('fronts-x', 0)"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("fronts-waits",), "fronts-waits says what it waits for"),
        (("fronts-done",), "it has finished"),
        (("fronts-none",), "--state processing lists"),
        (("--every", "x"), "invalid duration"),
        (("--times", "0"), "invalid number"),
    ],
)
def test_the_command_says_in_a_line_why_it_shows_nothing(command, args, said):
    done = command(*args)
    assert done.code == 2 and not done.out
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_dump_is_refused_in_a_line(capsys, running, tmp_path):
    running[0].dump_cluster_state(str(tmp_path / "dump"))
    done = in_process(capsys, "peek", "--dump", tmp_path / "dump.msgpack.gz")
    assert done.code == 2 and "a dump has no running tasks" in done.err


def test_samples_that_take_longer_than_the_limit(command):
    for options in (("--times", "100", "--timeout", "5s"), ("--every", "100us")):
        done = command(*options)
        assert done.code == 2 and done.err.count("\n") == 1
        assert done.err.startswith("Error: ") and options[-2] in done.err


def test_in_a_process_of_its_own(running):
    there = running[0].scheduler.address
    done = ended(start("peek", "fronts-1", "--scheduler", there))
    assert done.code == 0 and "in with_locals" in done.out


def test_a_shell_completes_keys_of_what_runs(running):
    shell = ShellComplete(cli, {}, "dbgkit", "_DBGKIT_COMPLETE")
    line = ["peek", "--scheduler", running[0].scheduler.address]
    expected = {"fronts-1", "('fronts-x', 0)"}

    def offered(typed):
        return {each.value for each in shell.get_completions(line, typed)}

    # The cluster has less than a second to answer, and then nothing is offered.
    for typed in ("fronts-", ""):
        wait_until(lambda typed=typed: offered(typed) == expected, "they are offered")
    assert offered("none-") == set()


@pytest.fixture(scope="module")
def shell(running, tmp_path_factory):
    with (
        shell_of_its_own(tmp_path_factory.mktemp("ipython")) as shell,
        Client(running[0].scheduler.address) as client,
    ):
        shell.extension_manager.load_extension("dbgkit")
        shell.user_ns["client"] = client
        yield shell


def test_the_magic(shell, running):
    found = shell.run_line_magic("dbg_peek", "fronts-1 --times 3 --every 10ms")
    assert isinstance(found, Peek)
    assert (found.samples, found[0].key) == (3, "fronts-1")
    shell.user_ns["picture"] = running[1]["runs"]
    assert shell.run_line_magic("dbg_peek", "picture")[0].key == "fronts-1"
    assert len(shell.run_line_magic("dbg_peek", "")) == 2
    del shell.user_ns["picture"]


def test_the_magic_offers_options_and_keys_of_what_is_pending(shell, running):
    assert {"--times", "--every", "--limit"} <= set(complete(shell, "%dbg_peek --"))
    client = shell.user_ns["client"]
    pending = client.submit(len, "a", key="fronts-gpu", resources={"GPU": 1})
    offered = complete(shell, "%dbg_peek fronts-")
    assert "fronts-gpu" in offered and "fronts-done" not in offered
    with pytest.raises(NotRunning):
        dbgkit.peek(pending)
