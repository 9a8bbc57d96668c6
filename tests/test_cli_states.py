"""The commands that look at a cluster: what they say, and how they end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from commands import ended, in_process, start
from conftest import own_cluster
from distributed import wait
from distributed.security import Security
from tasks import boom, inc, ratio
from watching import forgotten, state_of, wait_until

ODD = (
    "[/a/b]",
    "[bold]x[/bold]",
    'it\'s "x" $HOME `id`',
    "two\nlines",
    "<b onclick='x'>",
    "\x1b[31mred",
    "π-x",
    "--json",
    ("tup", 1, "é"),
    7,
)
LOOKING = ("failures", "tasks", "story", "why", "doctor", "report", "watch")


@pytest.fixture
def dbgkit(capsys):
    return lambda *args: in_process(capsys, *args)


@pytest.fixture(scope="module")
def fine():
    """A cluster on which all goes well; a worker of it stays paused once it is."""
    # Without a limit nobody looks at the memory, and sets the status by it.
    with own_cluster(
        processes=False, protocol="tcp", n_workers=1, memory_limit=0
    ) as client:
        held = client.submit(inc, 1, key="held")
        wait(held)
        yield client


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A cluster in processes of its own with failures and a stuck task, and a dump."""
    folder = tmp_path_factory.mktemp("broken")
    with own_cluster(n_workers=1) as client:
        bad = [client.submit(boom, 8, key=key) for key in ODD]
        zero = client.submit(ratio, 5, 0, key="zero-1")
        fallen = client.submit(inc, zero, key="fallen-1")
        done = client.submit(inc, 1, key="done-1")
        stuck = client.submit(inc, 1, key="stuck-1", resources={"GPU": 1})
        wait([*bad, fallen, done])
        wait_until(
            lambda: client.run_on_scheduler(state_of, key="stuck-1") == "no-worker",
            "it is stuck",
        )
        client.dump_cluster_state(str(folder / "dump"))
        yield SimpleNamespace(
            client=client,
            address=client.scheduler.address,
            dump=str(folder / "dump.msgpack.gz"),
            folder=folder,
        )
        del stuck


def at(client):
    return ("--scheduler", client.scheduler.address)


# -- codes -------------------------------------------------------------------


@pytest.mark.parametrize("command", LOOKING)
def test_a_cluster_on_which_all_goes_well_is_0(fine, dbgkit, command, tmp_path):
    options = {
        "story": ["held"],
        "watch": ["--once"],
        "report": ["-o", tmp_path / "page.html"],
    }
    done = dbgkit(command, *at(fine), *options.get(command, ()))
    assert done.code == 0, done
    assert done.out or command == "report"
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("failures",),
        ("tasks",),
        ("tasks", "--failed"),
        ("story", "zero-1"),
        ("story", "fallen-1"),
        ("story",),  # the newest failure
        ("why",),
        ("why", "stuck-1"),
        ("report", "-o", "-", "--exit-code"),
        ("watch", "--once"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["live", "dump"])
def test_what_is_wrong_is_1(broken, dbgkit, command, place):
    where = {"live": ("--scheduler", broken.address), "dump": ("--dump", broken.dump)}
    done = dbgkit(*command, *where[place])
    assert (done.code, done.err) == (1, "")
    assert done.out


@pytest.mark.parametrize(
    "command",
    [
        ("tasks", "--not-failed", "--state", "memory"),
        ("tasks", "done-*"),
        ("tasks", "nothing-like-*"),
        ("story", "done-1"),
        ("why", "done-1"),
    ],
    ids=" ".join,
)
def test_what_is_not_wrong_on_such_a_cluster_is_0(broken, dbgkit, command):
    assert dbgkit(*command, "--scheduler", broken.address).code == 0


def set_status(status, dask_worker):
    from distributed.core import Status

    dask_worker.status = Status[status]


def test_a_problem_that_the_doctor_finds_is_1(fine, dbgkit):
    fine.run(set_status, "paused")
    try:
        wait_until(
            lambda: dbgkit("doctor", *at(fine)).code == 1, "the worker counts as paused"
        )
        assert dbgkit("failures", *at(fine)).code == 0
    finally:
        fine.run(set_status, "running")


def test_a_task_that_failed_and_was_forgotten_ended_in_a_failure(broken, dbgkit):
    known = {"done-1", "zero-1", "fallen-1", "stuck-1", *ODD}
    future = broken.client.submit(boom, 1, key="gone-1")
    wait(future)
    del future
    forgotten(broken.client, known)
    done = dbgkit("story", "gone-1", "--scheduler", broken.address)
    assert done.code == 1
    assert "forgotten" in done.out


@pytest.mark.parametrize("command", LOOKING)
def test_help_says_the_codes(dbgkit, command):
    text = " ".join(dbgkit(command, "--help").out.split())
    assert "Exits with code 0 " in text
    assert ", 2 on an error" in text
    for option in ("--scheduler ADDRESS", "--dump", "--json", "--tls-ca-file"):
        assert option in text


# -- what is said --------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("failures",),
        ("tasks",),
        ("story", "zero-1"),
        ("why",),
        ("doctor",),
        ("report",),
        ("watch",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["live", "dump"])
def test_json_is_one_document_and_nothing_else(broken, dbgkit, command, place):
    where = {"live": ("--scheduler", broken.address), "dump": ("--dump", broken.dump)}
    done = dbgkit(*command, "--json", *where[place])
    assert isinstance(json.loads(done.out), dict)
    assert done.out.isascii()
    assert done.err == ""


def test_a_dump_is_told_in_the_same_words(broken, dbgkit):
    live, dumped = (
        json.loads(dbgkit("failures", "--json", *where).out)["groups"]
        for where in (("--scheduler", broken.address), ("--dump", broken.dump))
    )
    names = ("exception_type", "message", "location", "count", "cascaded", "workers")
    kinds = [{name: group[name] for name in names} for group in live]
    assert [{name: group[name] for name in names} for group in dumped] == [
        {**kind, "count": min(kind["count"], len(ODD))} for kind in kinds
    ]
    live, dumped = (
        json.loads(dbgkit("why", "stuck-1", "--json", *where).out)
        for where in (("--scheduler", broken.address), ("--dump", broken.dump))
    )
    for name in ("cause", "summary", "evidence", "advice", "key", "chain"):
        assert dumped[name] == live[name]


@pytest.mark.parametrize("key", ODD, ids=ascii)
def test_keys_that_break_markup_or_shells(broken, dbgkit, key):
    text = key if isinstance(key, str) else repr(key)
    text = f"({key})" if isinstance(key, int) else text  # 7 is one of a list
    for command in ("story", "why", "tasks"):
        done = dbgkit(command, "--scheduler", broken.address, "--json", "--", text)
        assert (done.code, done.err) == (1, ""), (command, done)
        told = json.loads(done.out)
        found = told["rows"][0]["key"] if command == "tasks" else told["key"]
        assert found in (key, str(key))
        # And as it is shown.
        shown = dbgkit(command, "--scheduler", broken.address, "--", text)
        assert (shown.code, shown.err) == (1, "")
        assert "\x1b" not in shown.out
        assert "cannot take 8" in shown.out or command == "story"


def test_tasks_are_filtered_first_and_cut_after(broken, dbgkit):
    done = dbgkit(
        *("tasks", "--scheduler", broken.address, "--json", "--state", "erred"),
        *("--state", "memory", "--prefix", "zero", "--prefix", "done"),
        *("--sort", "-key", "--limit", 1),
    )
    told = json.loads(done.out)
    assert (told["matched"], told["omitted"]) == (2, 1)
    assert [row["key"] for row in told["rows"]] == ["zero-1"]


def test_several_keys_are_several_tasks(broken, dbgkit):
    done = dbgkit(
        "tasks", "done-1", "('tup', 1, 'é')", "--scheduler", broken.address, "--json"
    )
    assert json.loads(done.out)["matched"] == 2


def test_failures_of_a_client_or_since(broken, dbgkit):
    where = ("failures", "--scheduler", broken.address, "--json")
    everything = json.loads(dbgkit(*where).out)["total"]
    for option in (
        ("--client", broken.client.id),
        ("--since", "1 hour"),
        ("--since", "2001-01-01"),
    ):
        found = json.loads(dbgkit(*where, *option).out)["total"]
        assert found in (everything, len(ODD) + 1)
    assert json.loads(dbgkit(*where, "--since", "2999-01-01").out)["total"] == 0


def test_a_report_is_one_page(broken, dbgkit, monkeypatch):
    monkeypatch.chdir(broken.folder)
    done = dbgkit("report", "--scheduler", broken.address)
    page = broken.folder / "dbgkit-report.html"
    assert (done.code, done.out) == (0, "")
    assert done.err == "written to dbgkit-report.html\n"
    text = page.read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "ZeroDivisionError" in text
    assert "<b onclick" not in text
    # To standard output, and as data to a file.
    assert dbgkit("report", "--dump", broken.dump, "-o", "-").out.startswith("<!")
    dbgkit("report", "--dump", broken.dump, "--json", "-o", "report.json")
    assert json.loads((broken.folder / "report.json").read_text())["failures"]["total"]


def test_a_report_that_cannot_be_written_is_told(broken, dbgkit, tmp_path):
    done = dbgkit("report", "--dump", broken.dump, "-o", tmp_path / "no" / "page.html")
    assert (done.code, done.out) == (2, "")
    assert "does not exist" in done.err
    assert dbgkit("report", "--dump", broken.dump, "-o", tmp_path).code == 2


@pytest.mark.parametrize("page", ["no/page.html", "/dev/full"])
def test_after_a_report_that_cannot_be_written_output_still_can(broken, capfd, page):
    done = in_process(capfd, "report", "--dump", broken.dump, "-o", page)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: cannot write '{page}': ")
    print("still here")
    assert capfd.readouterr().out == "still here\n"


# -- where to look -----------------------------------------------------------


def test_the_scheduler_may_be_configured_or_in_a_file(fine, dbgkit, tmp_path):
    import dask

    with dask.config.set({"scheduler-address": fine.scheduler.address}):
        assert "held" in dbgkit("tasks").out
    path = tmp_path / "scheduler.json"
    # Workers' metrics may have keys that are no texts.
    path.write_text(json.dumps({**fine.scheduler_info(), "workers": {}}, default=str))
    assert "held" in dbgkit("tasks", "--scheduler-file", path).out


def write_pems(security, folder):
    """The files of a security object, and the options that name them."""
    options = []
    for option, text in (
        ("--tls-ca-file", security.tls_ca_file),
        ("--tls-cert", security.tls_client_cert),
        ("--tls-key", security.tls_client_key),
    ):
        path = folder / f"{option.strip('-')}.pem"
        path.write_text(text)
        options += [option, str(path)]
    return options


def test_a_cluster_with_tls(dbgkit, tmp_path):
    security = Security.temporary()
    options = write_pems(security, tmp_path)
    with own_cluster(
        processes=False, protocol="tls", security=security, n_workers=1
    ) as client:
        future = client.submit(boom, 1, key="bad")
        wait(future)
        done = dbgkit("failures", *at(client), *options)
        assert done.code == 1
        assert "cannot take 1" in done.out
        # Without a certificate, or with a key that is none, it is said.
        done = dbgkit("failures", *at(client))
        assert done.code == 2
        assert "--tls-ca-file" in done.err
        done = dbgkit("failures", *at(client), *options[:5], options[1])
        assert done.code == 2
        assert "TLS files cannot be used" in done.err
        # Of another authority.
        (tmp_path / "other").mkdir()
        others = write_pems(Security.temporary(), tmp_path / "other")
        done = dbgkit("failures", *at(client), *others, "--timeout", "5s")
        assert done.code == 2
        assert "TLS certificate does not match" in done.err


# -- as a process ------------------------------------------------------------


def test_as_a_command_of_dask_with_an_encoding_of_few_letters(broken):
    from importlib.metadata import entry_points

    found = {entry.name for entry in entry_points(group="dask_cli")}
    plain = {
        "DASK_SCHEDULER_ADDRESS": broken.address,
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
    }
    words = ("why", "π-x")
    if "dbgkit" in found:
        process = start("dbgkit", *words, command=("-m", "dask"), env=plain)
    else:
        process = start(*words, env=plain)
    done = ended(process)
    assert (done.code, done.err) == (1, "")
    assert "failed: '\\u03c0-x' failed: ValueError: cannot take 8" in done.out


def test_a_pipe_that_nobody_reads_any_more(broken):
    # GIVEN more than a pipe holds
    process = start("tasks", "--json", "--dump", broken.dump)
    # WHEN the reader goes away, as `head` does
    process.stdout.close()
    # THEN it ends quietly, with the code of what was found
    assert process.stderr.read() == b""
    assert process.wait(60) == 1
    process.stderr.close()


def test_help_imports_neither_dask_nor_rich():
    code = (
        "import sys; from dbgkit.frontends.cli.main import cli\n"
        "cli.main(['failures', '--help'], standalone_mode=False)\n"
        "print({'dask', 'distributed', 'rich', 'IPython'} & set(sys.modules))"
    )
    done = ended(start(command=("-c", code)))
    assert done.out.endswith("set()\n"), done
