"""What could not be looked at: one clear line, code 2, nothing on standard output."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from commands import ended, in_process, start
from conftest import own_cluster
from distributed import wait
from tasks import boom


@pytest.fixture
def dbgkit(capsys):
    return lambda *args: in_process(capsys, *args)


@pytest.fixture(scope="module")
def one():
    """A small cluster with one failure."""
    with own_cluster(processes=False, protocol="tcp", n_workers=1) as client:
        future = client.submit(boom, 1, key="bad-1")
        wait(future)
        yield client


@pytest.fixture(scope="module")
def dump(one, tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "state"
    one.dump_cluster_state(str(path))
    return path.with_name("state.msgpack.gz")


def told(done, *words):
    """Assert that a command could not look, and says so in one line."""
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err
    last = done.err.rstrip("\n").split("\n")[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last
    return last


# -- nobody there ------------------------------------------------------------


def test_no_address(dbgkit):
    told(dbgkit("failures"), "no cluster to look at", "DASK_SCHEDULER_ADDRESS")
    told(dbgkit("failures", "--scheduler", ""), "no cluster to look at")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://10.0.0.5:8787/status", ["dashboard", "tcp://HOST:8786"]),
        ("https://10.0.0.5/x", ["a web page"]),
        ("gateway://10.0.0.5:8786", ["dask_gateway", "pass the client that it gives"]),
        ("localhost", ["has no port", "tcp://localhost:8786"]),
        ("tls://host", ["has no port", "tls://host:8786"]),
        ("8786", ["a port alone", "tcp://HOST:8786"]),
        (":8786", ["has no host", "tcp://HOST:8786"]),
        ("tcp://10.0.0.5:99999", ["has no valid port", "65535"]),
        ("tcp//10.0.0.5:8786", ["not an address", "tcp://HOST:8786"]),
        ("10.0.0.5:8786:1", ["not an address"]),
        ("state.msgpack.gz", ["is a file", "--dump"]),
        (r"C:/jobs/state", ["is a file", "--dump"]),
    ],
)
@pytest.mark.parametrize("verb", ["failures", "why", "doctor"])
def test_what_is_no_address_of_a_scheduler(dbgkit, verb, address, words):
    told(dbgkit(verb, "--scheduler", address), address, *words)


# -- typed without its option --------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        *(("failures",), ("why",), ("why", "bad-1"), ("tasks", "bad-*"), ("doctor",)),
        *(("story", "bad-1"), ("deaths",), ("recordings",), ("locate", "bad-1")),
        *(("report", "-o", "-"), ("replay", "bad-1"), ("watch", "--once")),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("first", [True, False])
def test_an_address_needs_no_option(one, dbgkit, command, first):
    address = one.scheduler.address
    verb, *rest = command
    typed = dbgkit(*(verb, address, *rest) if first else (*command, address))
    named = dbgkit(*command, "--scheduler", address)
    assert typed.code == named.code in (0, 1)
    assert typed.err == named.err
    assert typed.out.split("\n")[0] == named.out.split("\n")[0]


def test_the_value_of_an_option_is_no_address(dbgkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = told(dbgkit("failures", "--span", "tcp://10.0.0.5:8786"))
    assert "there is no cluster to look at" in said
    # Nor is what follows the end of the options.
    told(dbgkit("why", "--", "tcp://10.0.0.5:8786"), "no cluster to look at")


@pytest.mark.parametrize(
    "more",
    [("tcp://10.0.0.6:8786",), ("--scheduler", "tcp://10.0.0.6:8786")],
)
def test_two_addresses(dbgkit, more):
    said = told(dbgkit("failures", "tcp://10.0.0.5:8786", *more))
    assert "only one scheduler's address" in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("failures", "10.0.0.5:8786"), "use --scheduler 10.0.0.5:8786"),
        (("doctor", "8786"), "use --scheduler tcp://HOST:8786"),
        (("why", "bad-1", "localhost"), "use --scheduler tcp://localhost:8786"),
        (("failures", "state.msgpack.gz"), "use --dump state.msgpack.gz"),
        (("report", "page.html"), "use -o page.html"),
        (("failures", "job.py"), "to run a script, use dbgkit run job.py"),
        (("debug", "job.py"), "to run a script, use dbgkit run job.py"),
        (("job.py",), "to run a script, use dbgkit run job.py"),
        (("tcp://10.0.0.5:8786",), "dbgkit failures tcp://10.0.0.5:8786"),
        (("state.yaml",), "dbgkit failures --dump state.yaml"),
        (("failures", "bad-1"), "unexpected argument 'bad-1'"),
    ],
)
def test_what_was_meant_is_said(dbgkit, tmp_path, monkeypatch, typed, meant):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.py").touch()
    told(dbgkit(*typed), meant)


def test_a_client_that_is_not_connected(one, dbgkit):
    there = ("--scheduler", one.scheduler.address)
    done = dbgkit("failures", "--of-client", "nobody", *there)
    assert done.code == 2
    assert "no client 'nobody' is connected" in done.out
    assert dbgkit("failures", "--of-client", one.id, *there).code == 1


def test_two_places_at_once(dbgkit, dump):
    done = dbgkit("failures", "--scheduler", "tcp://127.0.0.1:1", "--dump", dump)
    told(done, "pass only one of --scheduler and --dump")


@pytest.mark.parametrize("command", ["failures", "watch", "report"])
def test_nothing_listens(dbgkit, command):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        done = dbgkit(command, "--scheduler", address, "--timeout", "300ms")
    told(done, f"no scheduler answers at '{address}'")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "'nonsense' has no port"),
        ("tcp://", "'tcp://' has no port"),
        ("zzz://127.0.0.1:1", "no scheduler answers at 'zzz://127.0.0.1:1'"),
    ],
)
def test_what_is_no_address(dbgkit, address, words):
    told(dbgkit("failures", "--scheduler", address), words)


class Page(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def silence():
    """Something that listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@contextmanager
def web_server():
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("listening", [silence, web_server])
def test_something_else_listens(dbgkit, listening):
    with listening() as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        done = dbgkit("failures", "--scheduler", address, "--timeout", "1s")
    told(done, "no scheduler answers", "check the address and its port")
    assert time.monotonic() - began < 15


def test_a_connection_that_comes_to_nothing_is_let_go_of(dbgkit):
    with silence() as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        told(dbgkit("failures", "--scheduler", address, "--timeout", "200ms"))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            while connection.recv(4096):
                pass


def test_the_address_of_a_worker(one, dbgkit):
    (worker,) = one.scheduler_info()["workers"]
    told(dbgkit("failures", "--scheduler", worker), "is not a Dask scheduler")


def test_ctrl_c_while_connecting_is_130():
    with silence() as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        process = start("failures", "--scheduler", address, "--timeout", "60s")
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert ended(process) == (130, "", "")


# -- no dump -----------------------------------------------------------------


def test_no_dump(dbgkit, tmp_path):
    path = tmp_path / "missing"
    told(dbgkit("why", "--dump", path), f"{str(path)!r} does not exist")
    path.write_text("hello")
    told(dbgkit("why", "--dump", path), "is not a cluster dump")
    told(dbgkit("why", "--dump", tmp_path), "is not a file")


def test_a_truncated_dump(dbgkit, dump, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(dump.read_bytes()[:-100])
    for command in ("failures", "watch", "report"):
        told(dbgkit(command, "--dump", path), "is cut off")


# -- no such name ------------------------------------------------------------


@pytest.mark.parametrize("place", ["live", "dump"])
def test_names_that_are_not_there(one, dump, dbgkit, place):
    where = {"live": ("--scheduler", one.scheduler.address), "dump": ("--dump", dump)}
    look = where[place]
    told(dbgkit("tasks", *look, "--state", "errd"), "did you mean 'erred'?")
    told(dbgkit("tasks", *look, "--sort", "nbites"), "did you mean 'nbytes'?")
    told(dbgkit("story", *look, "bad-2"), "'bad-2'", "did you mean 'bad-1'?")
    told(dbgkit("failures", *look, "--since", "soon"), "invalid time 'soon'")
    # What was asked for is told as an answer, and ends the same.
    for command in (
        ("why", "no-such-task"),
        ("tasks", "no-such-task"),
        ("tasks", "--prefix", "bat"),
        ("tasks", "--worker", "nobody"),
        ("failures", "--span", "nothing"),
    ):
        done = dbgkit(*command, *look)
        assert (done.code, done.err) == (2, ""), command
        assert "no" in done.out


@pytest.mark.parametrize(
    ("option", "text"),
    [("--timeout", "soon"), ("--timeout", "-3s"), ("--limit", "0"), ("--limit", "x")],
)
def test_options_that_cannot_be_read(dbgkit, dump, option, text):
    told(dbgkit("failures", "--dump", dump, option, text), f"'{option}'")


def test_a_scheduler_file_that_is_none(dbgkit, tmp_path):
    path = tmp_path / "scheduler.json"
    for text in ("hello", "[]", '{"id": 1}'):
        path.write_text(text)
        told(dbgkit("why", "--scheduler-file", path), "--scheduler-file writes")
