"""A command that is advised can be copied out of a terminal of any width, and runs."""

from __future__ import annotations

import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest
from commands import environment
from conftest import own_cluster
from distributed import wait

import dbgkit
from dbgkit import advice, render

KEY = ("divide a rather long name by nothing", 2)


def divide(a, b):
    return a / b


@pytest.fixture(scope="module")
def failed():
    """A cluster with a failed task, of whose name a shell makes several words."""
    with own_cluster(processes=False, protocol="tcp", n_workers=1) as client:
        future = client.submit(divide, 1, 0, key=KEY)
        wait(future)
        yield client, future


def in_terminal(command, width):
    """What a terminal of so many columns shows: lines, as they can be copied."""
    child = pexpect.spawn(
        command[0],
        command[1:],
        env=environment(TERM="xterm", PYTHONBREAKPOINT="0"),
        dimensions=(50, width),
        timeout=60,
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    child.close()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", child.before)
    return child.exitstatus, plain.replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("verb", ["why", "failures"])
def test_a_command_that_is_copied_runs(failed, verb, width):
    address = failed[0].scheduler.address
    python = [sys.executable, "-m", "dbgkit"]
    _, lines = in_terminal([*python, verb, "--scheduler", address], width)
    found = [each for each in lines if re.search(r"\bdebug .*--scheduler", each)]
    assert len(found) == 1, lines
    words = shlex.split(found[0])
    assert words[-1] == str(KEY)
    # The program's name is what the command line was called as.
    status, shown = in_terminal([*python, *words[words.index("debug") :]], width)
    assert status in (0, 1), shown
    assert "ZeroDivisionError: division by zero" in "\n".join(shown)


class Command(advice.Calls):
    def call(self, verb, targets, options):
        return f"dbgkit {verb} --scheduler tls://a-host.example.org:8786 {targets[0]!r}"


@pytest.mark.parametrize("width", [20, 60, 80])
def test_only_what_would_be_broken_has_a_line_of_its_own(width):
    with advice.worded(Command()):
        one, other = advice.call("debug", KEY), advice.call("deaths", "k")
    told = dbgkit.model.Explanation(
        "failed", "it failed", (), (f"{one} opens it, and {other} tells why", "wait")
    )
    text = render.to_text(told, width=width)
    lines = [line.strip() for line in text.splitlines()]
    assert one in lines and other in lines
    assert "advice" in lines
    assert " ".join(lines).endswith(" wait")
    wide = render.to_text(told, width=300)
    assert f"advice    {one} opens it, and {other} tells why" in wide


def test_what_fits_on_a_line_stays_in_its_sentence():
    with advice.worded(Command()):
        long, short = advice.call("debug", KEY), advice.call("w", "k")
    line = f"see {short}, or {long}."
    told = dbgkit.model.Explanation("failed", "it failed", (), (line,))
    lines = [each.strip() for each in render.to_text(told, width=90).splitlines()]
    assert f"advice    see {short}, or" in lines
    assert long in lines
    assert "." not in lines


def test_many_threads_are_advised_at_once():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            calls = [
                pool.submit(advice.call, "why", f"{who}-{number}")
                for number in range(300)
                for who in range(4)
            ]
        assert not any(call.exception() for call in calls)
    finally:
        sys.setswitchinterval(before)
