"""``break_at`` as it is typed: in a notebook, and as a command in another terminal."""

from __future__ import annotations

import signal
import sys

import pytest
from break_at_tasks import DOUBLED_LINE, doubled, ratio
from commands import ended, in_process, start
from distributed import Client
from live_sessions import enter, nothing_left, stop_of
from shells import kernel_with_cluster, run_cell
from watching import LIMIT, wait_until

import dbgkit
from dbgkit.cluster.shipping import live_name


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with kernel_with_cluster(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


def test_a_function_of_a_cell_by_its_name(kernel):
    run_cell(kernel, "def cube(x):\n    squared = x * x\n    return squared * x")
    assert "Armed." in run_cell(kernel, "%dbg_break_at cube")
    run_cell(kernel, "future = client.submit(cube, 3, key='anything-3'); waits()")
    said = run_cell(kernel, "%dbg_attach anything-3", "p x", "l", "n", "p squared", "c")
    assert "squared = x * x" in said and "9\n" in said and "In[" in said
    assert "27" in run_cell(kernel, "future.result()")
    assert "break_at(cube)" in run_cell(kernel, "%dbg_break_at")
    assert "is taken off" in run_cell(kernel, "%dbg_break_at off")


def test_where_it_fails_with_options(kernel):
    run_cell(kernel, "def over(x):\n    one = 1\n    return one / x")
    run_cell(kernel, "%dbg_break_at over --when error --most 3 --condition 'x == 0'")
    run_cell(kernel, "future = client.submit(over, 0, key='over-0'); waits()")
    said = run_cell(kernel, "%dbg_attach over-0", "p one, x", "c")
    assert "(1, 0)" in said and "ZeroDivisionError" in said
    assert "ZeroDivisionError" in run_cell(kernel, "future.exception()")
    run_cell(kernel, "%dbg_break_at off")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="lines need Python 3.12")
def test_a_line_of_a_cell(kernel):
    run_cell(kernel, "def third(x):\n    y = x + 1\n    return y")
    run_cell(kernel, "%dbg_break_at third --when 3")
    run_cell(kernel, "future = client.submit(third, 4, key='third-4'); waits()")
    assert "5\n" in run_cell(kernel, "%dbg_attach third-4", "p y", "c")
    run_cell(kernel, "%dbg_break_at off")


def test_what_cannot_be_is_said_in_a_line(kernel):
    status, said = kernel.run("%dbg_break_at some-key --when nonsense")
    assert status == "error" and "is not one of" in said
    status, said = kernel.run("%dbg_break_at off --when error")
    assert status == "error" and "need a place" in said
    run_cell(kernel, "built_in = len")
    status, said = kernel.run("%dbg_break_at built_in")
    assert status == "error" and "no Python code" in said


def is_armed(dask_worker):
    """Whether a worker stops tasks at a place; runs there."""
    part = dask_worker.plugins.get(live_name())
    return part is not None and part.places.any


def test_a_command_lasts_until_ctrl_c(processes):
    address = processes.scheduler_address
    process = start("break-at", "typed", "--when", "error", "--scheduler", address)
    try:
        with Client(processes, set_as_default=False) as client:
            wait_until(
                lambda: all(client.run(is_armed).values()), "all workers have heard"
            )
            armed = dbgkit.attach(client=client).armed
            assert (
                armed[0].at == "break_at('typed', when='error')" and armed[0].everyone
            )
            future = client.submit(ratio, 0, key="typed-1")
            stop_of(client, "typed-1")
            process.send_signal(signal.SIGINT)
            done = ended(process)
            assert done.code == 0, done.err
            assert "tasks stop at typed" in done.out and "goes on" in done.out
            assert "typed-1" in done.err
            assert isinstance(future.exception(LIMIT), ZeroDivisionError)
            nothing_left(client)
    finally:
        process.kill()
        process.wait()


def test_off_takes_off_what_was_left_behind_and_no_more(processes_client, capsys):
    client = processes_client
    address = client.scheduler.address
    with dbgkit.live(), dbgkit.break_at("mine"):
        done = in_process(capsys, "break-at", "off", "--scheduler", address)
        assert done.code == 0 and "is taken off" in done.out
        assert len(dbgkit.attach().armed) == 2
        future = client.submit(doubled, 3, key="mine-1")
        enter(client, stop_of(client, "mine-1"), "c")
        assert future.result(LIMIT) == 7
    nothing_left(client)


def test_usage(processes_client, capsys):
    address = processes_client.scheduler.address
    done = in_process(capsys, "break-at", "--scheduler", address)
    assert done.code == 2 and "PLACE" in done.err
    done = in_process(
        capsys, "break-at", "x", "--when", "nonsense", "--scheduler", address
    )
    assert done.code == 2 and "is not one of" in done.err
    done = in_process(capsys, "break-at", "x.py", "--scheduler", address)
    assert done.code == 2 and "is a file without a line" in done.err
    if sys.version_info < (3, 12):
        place = f"break_at_tasks.py:{DOUBLED_LINE}"
        done = in_process(capsys, "break-at", place, "--scheduler", address)
        assert done.code == 2 and "needs 3.12" in done.err
    nothing_left(processes_client)
