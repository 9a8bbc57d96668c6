"""Advice is written as it is typed where the reader is, and works as it is typed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from commands import beside, ended, environment, in_process, start
from distributed import Client
from watching import clear_history, settings_on

import dbgkit
from dbgkit import advice
from dbgkit.cluster import recordings
from dbgkit.frontends.ipython.base import read_line
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.wording import Commands, Magics, Run, quoted
from dbgkit.remote.common.texts import type_and_message


def look_up(table, name="XYZ"):
    return table[name]


def fail(number):
    raise ValueError(f"no {number}")


KEYS = [
    "plain-1",
    ("tuple", 0),
    "it's",
    "both '\"$HOME",
    "-dash",
    "two words",
    "a\nb",
    "12",
    "x --where here",
    "what? {y} !z",
    "ü\\",
]


@pytest.fixture(scope="module")
def failed(processes):
    with Client(processes) as client:
        # Of what other files left the history only is there, which has its own advice.
        client.run_on_scheduler(clear_history)
        held = [client.submit(look_up, {}, key=key) for key in KEYS]
        for future in held:
            future.exception()
        yield client


@pytest.fixture
def command(capsys, failed):
    return beside(capsys, failed)


def advised(text, verb="debug"):
    """The command of one line of the output."""
    (found,) = re.findall(rf"(dbgkit {verb} .*?)(?: opens| turns|\s*$)", text, re.M)
    return found


def as_a_shell_reads(line):
    done = subprocess.run(
        ["sh", "-c", f"for each in {line}; do printf '%s\\0' \"$each\"; done"],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.split("\0")[:-1]


# -- in a terminal ------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_what_why_advises_opens_the_task_as_typed(command, capsys, key):
    plain = isinstance(key, str) and key.isprintable() and not key.isdecimal()
    text = key if plain else repr(key)
    done = command("why", "--json", "--", text)
    assert done.code == 1, done
    (line,) = [
        each for each in _document(done)["advice"] if each.startswith("dbgkit debug")
    ]
    typed = line.removesuffix(" opens the debugger where it failed")
    _, *args = as_a_shell_reads(typed)
    done = in_process(capsys, args[0], "--no-prompt", *args[1:])
    assert done.code == 1, done
    assert "KeyError: 'XYZ'" in done.out
    assert "outcome same" in done.out


def _document(done):
    import json

    return json.loads(done.out)


def test_failures_names_the_command_with_the_place_that_was_asked(command, failed):
    done = command("failures")
    typed = advised(done.out)
    there = failed.scheduler.address
    assert as_a_shell_reads(typed)[:4] == ["dbgkit", "debug", "--scheduler", there]
    assert "dbgkit.debug(" not in done.out
    assert "%dbg" not in done.out


@pytest.mark.parametrize(
    "args",
    [
        ("failures",),
        ("why",),
        ("locate",),
        ("tasks",),
        ("story",),
        ("deaths",),
        ("peek",),
        ("peek", "plain-1"),
        ("doctor",),
        ("recordings",),
        ("replay", "no-such-key"),
        ("replay", "--max-bytes", "0", "plain-1"),
        ("debug", "--using", "recording", "plain-1"),
        ("report", "-o", "-", "--json"),
    ],
)
def test_no_command_advises_a_call_or_a_magic(command, args):
    done = command(*args)
    assert not re.search(r"dbgkit\.[a-z_]+\(|%dbg", done.out + done.err), done


def test_a_place_that_is_configured_is_not_repeated(command, capsys, failed):
    import dask

    with dask.config.set({"scheduler-address": failed.scheduler.address}):
        done = in_process(capsys, "why", "plain-1")
    assert "dbgkit debug plain-1 opens the debugger" in " ".join(done.out.split())


def test_whoever_looks_from_a_terminal_has_no_work_of_its_own(command, failed):
    assert "another client" not in command("locate").out
    assert "another client" not in command("replay").out
    with Client(failed.scheduler.address, set_as_default=False) as second:
        notes = dbgkit.locate(client=second).notes
    assert "it may be another client's failure" in notes


def test_the_recorder_is_turned_on_and_off_as_advised(command, capsys, monkeypatch):
    monkeypatch.setattr(recordings, "_left", {})  # of other tests in this process
    try:
        done = command("recordings")
        assert done.code == 0
        typed = advised(done.out, "record")
        _, *args = as_a_shell_reads(typed)
        done = in_process(capsys, *args)
        assert (done.code, done.out[:20]) == (0, "The recorder is on: ")
        assert command("recordings").code == 0
    finally:
        done = command("record", "off")
    assert (done.code, done.out) == (0, "The recorder is off.\n")
    assert command("recordings").code == 0


def test_the_recorder_takes_all_settings(command, failed):
    settings = "--hold 2MB --keep-inputs 1MB --nbytes 9kB --kept 8 --time 50ms"
    settings += " --dashboard"
    try:
        names = ("--secret-names", "vault,salary", "--secret-names", "iban")
        done = command("record", "on", *settings.split(), *names)
        assert done.code == 0, done
        assert settings_on(failed) == {
            "hold": 2_000_000,
            "keep_inputs": 1_000_000,
            "nbytes": 9_000,
            "kept": 8,
            "seconds": 0.05,
            "secret_names": ["vault", "salary", "iban"],
            "dashboard": True,
        }
    finally:
        command("record", "off")


@pytest.mark.parametrize("verb", ["failures", "locate", "replay", "tasks", "why"])
def test_what_is_named_as_source_is_to_exist(command, verb):
    assert "'no_such.py' does not exist" in command(verb, "--source", "no_such.py").err


def test_a_replay_can_be_planned_alone(command):
    done = command("replay", "--dry-run", "plain-1")
    assert done.code == 0, done
    assert "look_up" in done.out and "KeyError" not in done.out
    planned = json.loads(command("replay", "--dry-run", "--json", "plain-1").out)
    assert planned["key"] == "plain-1"


def test_failures_of_one_client_by_either_name(command, failed):
    for flag in ("--client", "--of-client"):
        assert command("failures", flag, failed.id).code == 1
        assert command("failures", flag, "nobody").code == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("record", "off", "--hold", "1MB"), "apply to `on` only"),
        (("record", "--hold", "1MB"), "apply to `on` only"),
        (("record", "off", "--time", "1s", "--kept", "0"), "--time and --kept"),
        (("record", "on", "--nbytes", "-1"), "invalid size '-1'"),
        (("record", "on", "--time", "0s"), "invalid duration '0s'"),
        (("record", "on", "--hold", "much"), "invalid size 'much'"),
        (("record", "on", "--json"), "dbgkit recordings --json"),
        (("record", "maybe"), "'maybe' is not one of"),
    ],
)
def test_what_the_recorder_is_not_turned_by(command, args, said):
    done = command(*args)
    assert done.code == 2
    assert said in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("line", "program"),
    [(("-m", "dbgkit"), "python -m dbgkit"), (("-m", "dask", "dbgkit"), "dask dbgkit")],
)
def test_the_program_is_named_as_it_was_called(failed, line, program):
    there = failed.scheduler.address
    done = ended(start("why", "plain-1", "--scheduler", there, command=line))
    told = " ".join(done.out.split())
    assert f"{program} debug --scheduler {there} plain-1 opens the debugger" in told


# -- elsewhere -----------------------------------------------------------------------


def test_a_script_is_advised_calls(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import dbgkit\n"
        "from distributed import Client\n"
        "if __name__ == '__main__':\n"
        "    with Client(processes=False, dashboard_address=':0') as client:\n"
        "        future = client.submit(divmod, 1, 0, key='divmod-1')\n"
        "        future.exception()\n"
        "        print(dbgkit.why(future).advice[0])\n"
        "        print(dbgkit.recordings().notes[0])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "dbgkit.debug('divmod-1') opens the debugger where it failed",
        "the recorder is off: dbgkit.record() turns it on",
    ]


@pytest.mark.parametrize(
    ("wording", "texts"),
    [
        (
            advice.Calls(),
            [
                "dbgkit.debug(('x', 0), using='recording')",
                "dbgkit.record()",
                "dbgkit.tasks(keys='*ab*')",
                "where='process'",
                "max_bytes=",
                "recompute=False",
                "dbgkit.debug('y')",
                "dbgkit.debugging(where='here')",
            ],
        ),
        (
            Magics(flags=True),
            [
                "%dbg --using recording ('x', 0)",
                "%dbg_record on",
                "%dbg_tasks *ab*",
                "--where process",
                "--max-bytes",
                "--no-recompute",
                "%dbg next",
                "dbgkit.debugging(where='here')",
            ],
        ),
        (
            Commands("dbgkit", ["--scheduler", "tcp://h:1"], [], dump=False),
            [
                "dbgkit debug --scheduler tcp://h:1 --using recording \"('x', 0)\"",
                "dbgkit record on --scheduler tcp://h:1",
                "dbgkit tasks --scheduler tcp://h:1 '*ab*'",
                "--where process",
                "--max-bytes",
                "--no-recompute",
                "dbgkit debug --scheduler tcp://h:1 y",
                "dbgkit.debugging(where='here')",
            ],
        ),
        (
            Commands("dbgkit", ["--dump", "my dump.gz"], ["--source", "a"], dump=True),
            [
                "dbgkit debug --scheduler ADDRESS --source a --using recording "
                "\"('x', 0)\"",
                "dbgkit record on --scheduler ADDRESS --source a",
                "dbgkit tasks --dump 'my dump.gz' --source a '*ab*'",
                "--where process",
                "--max-bytes",
                "--no-recompute",
                "dbgkit debug --scheduler ADDRESS --source a y",
                "dbgkit.debugging(where='here')",
            ],
        ),
        (
            Run(),
            [
                "dbgkit.debug(('x', 0), using='recording')",
                "dbgkit.record()",
                "dbgkit.tasks(keys='*ab*')",
                "--where process",
                "--max-bytes",
                "--no-recompute",
                "dbgkit.debug('y')",
                "dbgkit.debugging(where='here')",
            ],
        ),
    ],
)
def test_each_front_end_has_its_form(wording, texts):
    with advice.worded(wording):
        assert [
            advice.call("debug", ("x", 0), using="recording"),
            advice.call("record"),
            advice.call("tasks", keys="*ab*"),
            advice.option("where", "process"),
            advice.option("max_bytes"),
            advice.option("recompute", False),
            advice.next_cause("y"),
            advice.call("debugging", where="here"),
        ] == texts
    assert advice.call("debug") == "dbgkit.debug()"


def test_a_command_of_a_file_has_its_own_options():
    with advice.worded(Run("to_test")):
        assert advice.option("overwrite", True) == "--overwrite"
        assert advice.option("confidential", True) == "--confidential"
        assert advice.option("where", "here") == "where='here'"  # it has none
    with advice.worded(Run("open")):
        assert advice.option("trust", True) == "--trust"


def test_wordings_are_taken_off_in_any_order():
    first, second = Run(), Magics(flags=True)
    advice.word_with(first)
    advice.word_with(second)
    advice.unword(first)
    assert advice.call("why") == "%dbg_why"
    advice.unword(second)
    advice.unword(second)
    assert advice.call("why") == "dbgkit.why()"


@pytest.mark.parametrize("key", [*KEYS, 7, b"raw", ("x --where", "it's", 1), "a;"])
def test_a_magic_reads_back_the_key_that_was_advised(key):
    with advice.worded(Magics(flags=True)):
        line = advice.call("debug", key, client="tcp://h:1", where="here")
    asked = read_line("dbg", line.removeprefix("%dbg"), {}, Session())
    assert (asked.target, asked.options["where"]) == (key, "here")
    assert asked.options["client"] == "tcp://h:1"


def test_advice_repeats_where_to_look_and_what_to_read(failed, tmp_path):
    there = failed.scheduler.address
    source = str(tmp_path)
    with Client(processes=False, dashboard_address=":0"):  # another is current
        explained = dbgkit.why("plain-1", client=there, source=source)
        (line,) = [each for each in explained.advice if "dbgkit.debug" in each]
        call = f"dbgkit.debug('plain-1', client={there!r}, source={source!r})"
        assert line.startswith(call)
        report = dbgkit.failures(client=there)
    # What is shown later repeats it too, as whoever reads it would write it.
    assert f"client={there!r})" in str(report)
    with advice.worded(Magics(flags=False)):
        assert f"%dbg --client {there} " in str(report)
    place = Commands("dbgkit", ["--scheduler", "S"], [], dump=False)
    with advice.worded(place):
        assert "dbgkit debug --scheduler S " in str(report)
    with advice.repeating({"view": "a dump"}):
        assert advice.call("why", "x") == "dbgkit.why('x', view='a dump')"
        assert advice.call("debug", "x") == "dbgkit.debug('x')"


def test_of_the_current_cluster_no_client_is_named(failed):
    with Client(failed.scheduler.address, set_as_default=False) as second:
        assert "client=" not in str(dbgkit.failures(client=second))


@pytest.mark.parametrize("text", [*map(str, KEYS), "`id`", "a!b'c", "", "é"])
def test_a_shell_reads_back_what_was_quoted(text):
    assert as_a_shell_reads(quoted(text)) == [text]
    assert shlex.split(quoted(text)) == [text]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("XYZ"),
        KeyError(),
        KeyError(""),
        KeyError(3),
        KeyError(("x", 1)),
        KeyError("a", "b"),
        KeyError("it's"),
        KeyError(b"raw"),
        ValueError("XYZ"),
        ValueError(b"raw"),
        ValueError(("x", 1)),
    ],
    ids=repr,
)
def test_an_exception_is_told_as_python_prints_it(error):
    assert type_and_message(repr(error)) == (type(error).__name__, str(error))
