"""What cannot be meant, as a newcomer passes it in Python: one line says what can."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import dask
import pytest
from dask.distributed import Client, LocalCluster, wait
from tasks import boom, inc

import dbgkit
from dbgkit.errors import DbgkitError, SchedulerGone, WrongTarget

ADDRESS = "tcp://10.0.0.5:8786"


def told(call, *words, kind=WrongTarget):
    """The one line of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    return text


# -- without a name ----------------------------------------------------------------


@pytest.mark.parametrize("verb", ["failures", "tasks", "doctor", "deaths", "watch"])
def test_verbs_without_a_target_say_where_it_belongs(verb, client, tmp_path):
    call = getattr(dbgkit, verb)
    said = f"{verb}() has no target"
    told(lambda: call(ADDRESS), said, f"client={ADDRESS!r}")
    told(lambda: call("state.msgpack.gz"), said, "view='state.msgpack.gz'")
    told(lambda: call(tmp_path), said, "view=")
    told(lambda: call(client), said, "pass a client as client=")
    instead = "keys=" if verb == "tasks" else "locate(), why() and story()"
    told(lambda: call("load-*"), said, instead)


def test_the_recorder_and_the_report_do_too():
    told(lambda: dbgkit.record(ADDRESS), f"client={ADDRESS!r}")
    told(lambda: dbgkit.report(ADDRESS), "is an address", "client=")


def test_verbs_keep_their_signatures():
    with pytest.raises(TypeError, match="unexpected keyword argument 'clint'"):
        dbgkit.failures(clint=1)


# -- as a client, as a dump --------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (8786, ["not an int", "tcp://HOST:8786"]),
        ("8786", ["a port alone", "tcp://HOST:8786"]),
        ("localhost", ["has no port", "tcp://localhost:8786"]),
        (r"C:\jobs\state", ["is a file", "view="]),
        (Path("state.msgpack.gz"), ["view="]),
        (Client, ["not a type", "not the class Client"]),
        (print, ["leave it out for the current client"]),
        ("http://localhost:8787/status", ["dashboard"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["failures", "why", "locate", "doctor"])
def test_what_is_no_client(verb, value, words):
    told(lambda: getattr(dbgkit, verb)(client=value), *words)


def test_a_cluster_is_no_client(inproc):
    for verb in (dbgkit.failures, dbgkit.replay):
        told(lambda verb=verb: verb(client=inproc), "a LocalCluster", "Client(cluster)")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, ["takes the path of a dump, not an int"]),
        (ADDRESS, ["is an address", "client="]),
        ("", ["is empty"]),
    ],
)
def test_what_is_no_dump(value, words):
    told(lambda: dbgkit.failures(view=value), *words)


def test_a_client_that_is_not_connected(inproc_client):
    found = dbgkit.failures(of_client="nobody")
    assert found.unknown == ("client 'nobody'",)
    assert "no client 'nobody' is connected" in " ".join(found.notes)
    assert not dbgkit.failures(of_client=inproc_client).unknown
    told(lambda: dbgkit.failures(of_client=3), "not an int")


# -- as a target -------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["locate", "replay", "why", "story"])
def test_what_is_no_target(verb, inproc, inproc_client):
    pandas = pytest.importorskip("pandas")
    call = getattr(dbgkit, verb)
    told(lambda: call(ADDRESS), "is an address, not a target", "client=")
    told(lambda: call(inproc_client), "pass a client as client=")
    told(lambda: call(inproc), "connect a Client to it")
    told(lambda: call(boom), "a function is no task", "the future of its call")
    told(lambda: call(ValueError), "pass the exception itself")
    told(lambda: call(pandas.DataFrame()), "holds data, not tasks")
    told(lambda: call(object()), "an object", "pass a future")


def test_a_url_may_be_a_key(inproc_client):
    future = inproc_client.submit(boom, 1, key="https://example.org/1.csv")
    wait(future)
    assert dbgkit.locate("https://example.org/1.csv").key == future.key


# -- after it was closed -----------------------------------------------------------


def raised(call):
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture(scope="module", params=["client", "cluster"])
def closed(request):
    """A client that was closed, or whose cluster was, with two of its futures."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
        )
        client = stack.enter_context(Client(cluster))
        bad, good = client.submit(boom, 1, key="bad"), client.submit(inc, 1, key="good")
        wait([bad, good])
        (client if request.param == "client" else cluster).close()
        yield client, bad, good


# A key of its own each time: Dask waits for one that it could not send before.
AFTER = {
    "submit": lambda client, bad, good: client.submit(inc, 3, pure=False),
    "map": lambda client, bad, good: client.map(inc, [1], pure=False),
    "compute": lambda client, *_: client.compute(dask.delayed(inc)(1)).result(),
    "get": lambda client, bad, good: client.get({(key := uuid4().hex): (inc, 1)}, key),
    "run": lambda client, bad, good: client.run(inc, 1),
    "nthreads": lambda client, bad, good: client.nthreads(),
}


@pytest.mark.parametrize("what", AFTER)
@pytest.mark.parametrize("verb", ["locate", "replay", "debug"])
def test_a_call_of_a_client_that_was_closed(closed, what, verb):
    error = raised(lambda: AFTER[what](*closed))
    said = told(lambda: getattr(dbgkit, verb)(error), kind=SchedulerGone)
    assert "closed before this call: nothing was sent" in said
    assert "connect a new Client" in said


@pytest.mark.parametrize("which", [1, 2])
def test_a_future_of_a_client_that_was_closed(closed, which):
    error = raised(closed[which].result)
    said = told(lambda: dbgkit.locate(error), kind=SchedulerGone)
    assert "was cancelled, and its client is closed" in said
    assert "pass the exception" not in said
    assert "ask for results while the client is open" in said


SCRIPT = """
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    options = dict(n_workers=1, processes=False, dashboard_address=":0")
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        future = client.submit(divmod, 1, 0)
    future.result()
"""


def test_a_script_that_asks_too_late(tmp_path):
    """``dbgkit run`` does not advise ``dbgkit run``."""
    script = tmp_path / "late.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "dbgkit", "run", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.endswith("; ask for results while the client is open")
    assert "dbgkit run" not in last


def test_an_error_while_a_failure_is_handled_hides_no_failure(processes_client):
    """A client that is closed in an ``except`` block is not what failed first."""
    with Client(processes_client.scheduler.address, set_as_default=False) as other:
        future = other.submit(boom, 1, key="boom-closed")

        def fails():
            try:
                future.result()
            except ValueError:
                other.close()
                other.submit(inc, 1)

        error = raised(fails)
    try:
        found = dbgkit.locate(error)
    except DbgkitError as refused:
        assert "nothing was sent" not in str(refused)
    else:
        assert "cannot take 1" in found.message
