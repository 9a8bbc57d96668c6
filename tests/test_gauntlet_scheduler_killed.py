"""A scheduler that is killed while inputs are computed again: one clear line each."""

from __future__ import annotations

import pytest
from schedulers import COMMANDS, GONE, WHERE, looked, own_scheduler

from dbgkit import errors


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """How calls and commands ended whose scheduler was killed as they computed inputs.

    By name: how a command has ended; or what a call raised or returned.
    """
    with own_scheduler(tmp_path_factory.mktemp("killed")) as cluster:
        yield dict(looked(cluster, cluster.kill))


@pytest.mark.parametrize("where", COMMANDS)
def test_from_the_command_line(looks, where):
    done = looks[f"{COMMANDS[where]} {where}"]
    assert done.code == 2, done
    (line,) = [one for one in done.err.splitlines() if one.startswith("Error: ")]
    assert GONE in line
    assert "Traceback" not in done.err
    assert not done.out


def test_from_a_script(looks):
    """Its own exit code and traceback, and a line why there is no more than that."""
    done = looks["run"]
    assert done.code == 1, done
    told = [one for one in done.err.splitlines() if one.startswith("dbgkit: ")]
    assert GONE in told[-1]
    assert "ZeroDivisionError" in done.err


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("target", ["call", "forgotten"])
def test_from_a_call(looks, target, where):
    error = looks[f"{target} {where}"]
    assert isinstance(error, errors.SchedulerGone), error
    assert GONE in str(error)
    assert "\n" not in str(error)
