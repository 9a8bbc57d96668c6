"""What is typed as KEY beside a job: a key, how it begins, or a number in the list."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from contextlib import contextmanager

import pexpect
import pytest
from commands import beside, environment
from distributed import Client
from watching import clear_history

from dbgkit.frontends.cli import listed

FAILED = {
    "first-1": "first",
    ("tuple-abc", 0): "second",
    ("tuple-abc", 1): "second",
    "first-2": "first",
    "it's $HOME !x": "third",
}


def fail(text):
    raise ValueError(text)


@contextmanager
def failing(client, keys):
    held = [client.submit(fail, text, key=key) for key, text in keys.items()]
    for future in held:
        future.exception()
    yield held


@pytest.fixture
def client(processes, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Client(processes) as client:
        client.run_on_scheduler(clear_history)
        with failing(client, FAILED):
            yield client


@pytest.fixture
def command(capsys, client):
    return beside(capsys, client)


def located(command, text):
    """The key that a text leads to, and what was said about it."""
    done = command("locate", "--json", "--", text)
    assert done.code == 1, done
    return json.loads(done.out)["key"], done.err


def numbers(command):
    """What the list has beside each number: one of the keys that it names."""
    done = command("failures")
    return re.findall(r"^(\d+)\. .*ValueError: (\w+)", done.out, re.M)


# -- numbers -------------------------------------------------------------------------


def test_a_number_is_what_the_list_showed_beside_it(command):
    shown = numbers(command)
    assert sorted(text for _, text in shown) == ["first", "second", "third"]
    for number, text in shown:
        done = command("replay", number)
        assert (done.code, f"ValueError: {text}" in done.out) == (1, True), done
        assert f"dbgkit: {number} in the list of " in done.err
        assert f"ValueError: {text}" in command("why", number).out
        assert command("story", number).code == 1


def test_a_number_stays_when_others_have_failed_since(command, client):
    shown = dict(numbers(command))
    with failing(client, {"later-1": "later"}):
        assert f"ValueError: {shown['1']}" in command("locate", "1").out
        assert dict(numbers(command))["1"] == "later"
        assert "ValueError: later" in command("locate", "1").out


def test_what_is_gone_since_it_was_listed_is_not_another(command, client):
    with failing(client, {"later-1": "later"}) as held:
        assert dict(numbers(command))["1"] == "later"
        held.clear()
    client.run_on_scheduler(clear_history)
    done = command("debug", "1")
    # With the recorder on it has a recording; it is never another failure's.
    assert done.code in (1, 2)
    assert "later-1" in done.out + done.err and "ValueError: first" not in done.out
    assert done.code == 1 or "cannot be run again: the scheduler has" in done.err


def test_where_no_list_was_shown_a_number_is_of_the_list_now(command):
    done = command("locate", "1")
    assert done.code == 1
    assert "1 in the list of failures as it is now is " in done.err


@pytest.mark.parametrize("number", ["0", "4", "99"])
def test_a_number_that_is_not_there(command, number):
    for _ in range(2):
        done = command("locate", number)
        assert done.code == 2
        assert f"there is no failure {number}: there are 3" in done.err
        command("failures")


def test_a_list_that_was_filtered_counts_as_it_was_shown(command):
    command("failures", "--limit", "1")
    assert "there is 1 in the list" in command("locate", "2").err


def test_what_looks_like_a_secret_is_not_kept(command, client, tmp_path):
    with failing(client, {"load-password=hunter2hunter2": "secret"}):
        command("failures")
        done = command("locate", "1")
    kept = (tmp_path / "dbgkit/listed.json").read_text()
    assert "hunter2" not in kept and "first-" in kept  # whichever has failed first
    assert done.code == 2
    assert "was not kept" in done.err


def test_only_the_user_can_read_the_list(command, tmp_path):
    command("failures")
    mode = (tmp_path / "dbgkit/listed.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert os.listdir(tmp_path / "dbgkit") == ["listed.json"]


def entry(**fields):
    whole = {"where": "s", "address": "a", "terminal": "t", "when": 1.0, "keys": ["1"]}
    return json.dumps([whole | fields])


DAMAGED = [
    *("", "{}", "[1]", '[{"where": 1}]', "\x00", "[" * 100_000, "1" * 5_000),
    *(entry(when=when) for when in (1e300, -1e300, float("nan"), None, "x")),
    entry(keys=7),
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_list_is_as_none(command, tmp_path, text):
    (tmp_path / "dbgkit").mkdir()
    (tmp_path / "dbgkit/listed.json").write_text(text)
    assert "as it is now" in command("locate", "1").err
    command("failures")
    assert "in the list of" in command("locate", "1").err


def test_where_nothing_can_be_written_a_number_is_of_the_list_now(
    command, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    command("failures")
    assert "as it is now" in command("locate", "1").err


def test_what_is_no_file_keeps_nobody_waiting(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "dbgkit").mkdir()
    os.mkfifo(tmp_path / "dbgkit/listed.json")
    assert listed.known() == []
    listed.remember("scheduler", "tcp://h:1", ["mine"])
    assert listed.last_listed("scheduler").key(1) == "mine"


def test_a_link_that_somebody_has_put_there_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "dbgkit").mkdir()
    (tmp_path / "precious").write_text("precious")
    for name in ("listed.json", f"listed.json.{os.getpid()}"):
        (tmp_path / "dbgkit" / name).symlink_to(tmp_path / "precious")
    listed.remember("scheduler", "tcp://h:1", ["mine"])
    assert (tmp_path / "precious").read_text() == "precious"
    assert listed.last_listed("scheduler").key(1) == "mine"


def test_nothing_is_left_where_there_is_no_room(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listed.os, "replace", full)
    listed.remember("scheduler", "tcp://h:1", ["mine"])
    assert os.listdir(tmp_path / "dbgkit") == []


@pytest.mark.parametrize("cache", ["~/.cache", "relative"])
def test_a_user_without_a_home_has_no_list(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", cache)  # as `expanduser` gives it back
    listed.remember("scheduler", "tcp://h:1", ["mine"])
    assert listed.known() == [] and os.listdir(tmp_path) == []


def test_many_and_long_keys_are_read_back_or_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed.remember("scheduler", "tcp://h:1", ["x" * 10**6, "short"])
    last = listed.last_listed("scheduler")
    assert last.key(2) == "short"
    with pytest.raises(LookupError):
        last.key(1)
    for number in range(4):
        many = [f"{number}-{'y' * 9_000}-{place}" for place in range(80)]
        listed.remember(f"scheduler-{number}", "tcp://h:1", many)
    assert listed.last_listed("scheduler-3").key(80) == many[-1]
    assert listed.last_listed("scheduler-0") is None
    size = (tmp_path / "dbgkit/listed.json").stat().st_size
    assert size <= listed.MOST_BYTES


def test_few_lists_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(3 * listed.MOST_LISTS):
        listed.remember(f"scheduler-{number}", "tcp://h:1", [("x", number), number])
    assert len(listed.known()) == listed.MOST_LISTS
    last = listed.last_listed(f"scheduler-{number}")
    assert (last.key(1), last.key(2)) == (("x", number), number)
    assert listed.last_listed("scheduler-0") is None


def test_a_terminal_goes_by_its_own_list(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed.remember("scheduler", "tcp://h:1", ["mine"])
    with monkeypatch.context() as patch:
        patch.setattr(listed, "_terminal", lambda: "another")
        assert listed.last_listed("scheduler").key(1) == "mine"
        listed.remember("scheduler", "tcp://h:1", ["theirs"])
        assert listed.last_listed("scheduler").key(1) == "theirs"
    assert listed.last_listed("scheduler").key(1) == "mine"


# -- keys ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("first-1", "first-1"),
        ("('tuple-abc', 1)", "('tuple-abc', 1)"),
        ('("tuple-abc",1)', "('tuple-abc', 1)"),
        ("(tuple-abc, 1)", "('tuple-abc', 1)"),
        ("tuple-abc,0", "('tuple-abc', 0)"),
        ("it", "it's $HOME !x"),
        ("'first-2'", "first-2"),
    ],
)
def test_a_key_by_its_text(command, text, key):
    found, said = located(command, text)
    assert found == key
    exact = text.replace('"', "'").startswith(("first", "('", "'"))
    assert (said == "") == exact


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("first", "first-"),
        ("tuple", "\"('tuple-abc', 0)\", \"('tuple-abc', 1)\""),
        ("('tuple-abc'", "\"('tuple-abc', 0)\", \"('tuple-abc', 1)\""),
    ],
)
def test_what_several_keys_begin_with_is_none(command, text, named):
    for verb in ("debug", "replay", "locate"):
        done = command(verb, text)
        assert done.code == 2
        assert "more than one failed task begins with" in done.err
        assert named in done.err


@pytest.mark.parametrize("text", ["nothing", "*", "?irst-1", "[f]irst-1", "rst-1"])
def test_what_no_key_begins_with(command, text):
    done = command("locate", text)
    assert done.code == 2
    assert f"knows no key {text!r}" in done.err
    assert re.search(r"dbgkit failures --scheduler \S+ lists what has failed", done.err)


# -- from one terminal to the frame --------------------------------------------------


def test_the_line_that_a_list_ends_with_leads_to_the_frame(client, tmp_path):
    shell = pexpect.spawn(
        "sh",
        env=environment(
            PS1="$ ", TERM="dumb", XDG_CACHE_HOME=str(tmp_path), PYTHONBREAKPOINT=""
        ),
        encoding="utf8",
        timeout=60,
        dimensions=(60, 250),
    )
    shell.delaybeforesend = 0.2
    shell.sendline("PS1='READY> '")
    shell.expect("READY> ")
    python = f"alias python='{sys.executable}'"
    shell.sendline(python)
    shell.expect("READY> ")
    there = client.scheduler.address
    shell.sendline(f"python -m dbgkit failures --scheduler {there}")
    shell.expect("failed in 3 ways")
    shell.expect("READY> ")
    text = shell.before
    lines = re.findall(r"python -m dbgkit debug .*", text)
    assert len(lines) == 3
    for line, said in zip(lines, re.findall(r"ValueError: (\w+)", text), strict=True):
        shell.sendline(line.strip())
        shell.expect(re.escape("(Pdb) "))
        shell.sendline("p text")
        shell.expect_exact(repr(said))
        shell.expect(re.escape("(Pdb) "))
        shell.sendline("q")
        shell.expect("READY> ")
    shell.close(force=True)
