"""Tasks that end whatever worker receives them, as it cannot unpickle them."""

from __future__ import annotations

import importlib
import os
import platform
import sys

import dask
import pytest
from conftest import RECORDER_OFF
from watching import look, wait_until
from why_looks import from_dump

import dbgkit
from dbgkit.diagnose.why import lacks
from dbgkit.remote.common.modules import missing_names, needs_of

# As what a script or a notebook defines, which travels by value.
SCRIPT = """
import os

class OnlyHere:
    def __init__(self):
        self.pid = os.getpid()

    def __setstate__(self, state):
        if state["pid"] != os.getpid():
            raise RuntimeError("there is no GPU here")
        self.__dict__ = state

def take(only_here):
    return only_here.pid
"""
script = {"__name__": "__main__"}
exec(SCRIPT, script)
OnlyHere, take = script["OnlyHere"], script["take"]


def workers_of(client):
    return client.run_on_scheduler(look)["workers"]


def settled(client):
    """All workers have gone, and so have their nannies, which do not start others."""
    wait_until(lambda: not workers_of(client), "all workers are gone")
    nannies = list(client.cluster.workers.values())
    wait_until(
        lambda: all(each.status.name == "closed" for each in nannies), "nannies too"
    )


def test_nobody_knows_why_and_no_worker_is_left(harmable, tmp_path, monkeypatch):
    with dask.config.set(RECORDER_OFF), harmable(n_workers=2) as client:
        future = client.submit(take, OnlyHere(), key="poison")
        after = client.submit(len, future, key="after")
        settled(client)
        found = dbgkit.why(future)
        assert found.cause == "cannot-unpickle"
        assert found.summary == (
            "'poison' ends every worker that receives it, most likely as it cannot be "
            "unpickled there"
        )
        assert not found.healthy
        assert found.evidence[0].startswith("2 workers that 'poison' was sent to ended")
        assert 'below "Failed to deserialize"' in str(found.evidence)
        assert found.advice[0].startswith("waiting does not help")
        assert not any(each.startswith("wait some") for each in found.advice)
        assert "their nannies have logged that they closed" in str(found.evidence)
        assert dbgkit.why().cause == "cannot-unpickle"
        # A dump does not know of nannies, but that no worker came back for a while.
        monkeypatch.setattr(lacks, "COMES_AGAIN", -1.0)
        dumped = from_dump(client, tmp_path, "poison")
        assert (dumped.cause, dumped.summary) == (found.cause, found.summary)
        assert "if they had no nannies" in str(dumped.advice)
        chained = dbgkit.why(after)
        assert (chained.cause, chained.because) == ("waiting-on", "cannot-unpickle")


def test_the_recorder_keeps_the_error(harmable):
    with harmable(n_workers=2) as client, dbgkit.record(client=client):
        future = client.submit(take, OnlyHere(), key="poison")
        settled(client)
        wait_until(lambda: "GPU" in str(dbgkit.why(future)), "it was reported")
        found = dbgkit.why(future)
        assert found.cause == "cannot-unpickle"
        assert found.summary == (
            "'poison' ends every worker that receives it, as it cannot be unpickled "
            "there: RuntimeError: there is no GPU here"
        )
        assert found.evidence[0].endswith(" logged it")


def test_a_crash_is_none(harmable):
    with harmable(n_workers=1) as client:
        client.run_on_scheduler(allow, count=30)
        future = client.submit(os._exit, 3, key="crash")
        for died in (1, 2):
            wait_until(lambda n=died: suspicious(client) >= n, f"{died} have died")
            assert dbgkit.why(future).cause != "cannot-unpickle"
        # A nanny that is just starting a process cannot be closed.
        future.release()
        wait_until(
            lambda: "crash" not in client.run_on_scheduler(look)["tasks"], "gone"
        )
        wait_until(lambda: workers_of(client), "there is a worker again")


def suspicious(client):
    def count(dask_scheduler):
        ts = dask_scheduler.tasks.get("crash")
        return ts.suspicious if ts else 0

    return client.run_on_scheduler(count)


def allow(dask_scheduler, count):
    dask_scheduler.allowed_failures = count


@pytest.fixture
def two_versions(tmp_path, monkeypatch):
    """A module that is newer here than on workers which add its folder first."""
    old, new = tmp_path / "old", tmp_path / "new"
    name = "why_two_versions"
    for folder, function in ((old, "former"), (new, "recent")):
        folder.mkdir()
        text = f"def {function}(value):\n    return value\n"
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(new))
    importlib.invalidate_caches()
    yield name, str(old)
    sys.modules.pop(name, None)


def prefer(folder):
    sys.path.insert(0, folder)
    importlib.invalidate_caches()


@pytest.mark.parametrize("imported", [False, True])
def test_the_code_of_workers_is_older(harmable, two_versions, imported):
    name, folder = two_versions
    with dask.config.set(RECORDER_OFF), harmable(n_workers=3) as client:
        client.run(prefer, folder)
        if imported:
            client.run(importlib.import_module, name)
        first, second, third = sorted(workers_of(client))
        recent = importlib.import_module(name).recent
        future = client.submit(recent, 1, key="newer", workers=[first])
        wait_until(lambda: first not in workers_of(client), "it is gone")
        found = dbgkit.why(future)
        assert found.cause == "cannot-unpickle"
        assert found.summary == (
            "'newer' ends every worker that receives it, as it cannot be unpickled "
            f"there: the code there lacks '{name}.recent'"
        )
        assert found.evidence[:2] == tuple(
            f"{each}: no '{name}.recent'" for each in (second, third)
        )
        # AND WHEN the scheduler gives it up
        client.run_on_scheduler(allow, count=0)
        given_up = client.submit(recent, 2, key="given up", workers=[second])
        wait_until(lambda: given_up.status == "error", "it is given up")
        found = dbgkit.why(given_up)
        assert found.cause == "failed"
        assert found.summary.endswith(
            f", as they could not unpickle it: the code there lacks '{name}.recent'"
        )
        assert found.evidence[-1] == f"{third}: no '{name}.recent'"


def test_another_python(harmable):
    """What workers report of themselves as they register."""
    with dask.config.set(RECORDER_OFF), harmable(n_workers=2) as client:
        first, second = workers_of(client)
        client.run_on_scheduler(pretend, address=second, python="3.9.1.final.0")
        future = client.submit(take, OnlyHere(), key="own", workers=[first])
        wait_until(lambda: first not in workers_of(client), "it is gone")
        found = dbgkit.why(future)
        assert found.cause == "cannot-unpickle"
        minor = ".".join(platform.python_version_tuple()[:2])
        assert found.summary.endswith(
            f": it holds code of Python {minor}, and the workers run 3.9"
        )
        assert found.evidence[0].startswith(f"{second}: Python 3.9.1, while the ")
        assert "the same Python" in found.advice[1]


def pretend(dask_scheduler, address, python):
    versions = dask_scheduler.workers[address].versions
    versions["host"] = {**dict(versions["host"]), "python": python}


def test_names_that_a_module_lacks(tmp_path, monkeypatch):
    (tmp_path / "why_named.py").write_text(
        "from os import path as renamed\nclass A:\n    def method(self): ...\n"
        "globals()['made'] = 1\n"
    )
    (tmp_path / "why_vague.py").write_text("from os.path import *\n")
    (tmp_path / "why_broken.py").write_text("def (")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    names = [
        ("why_named", "A"),
        ("why_named", "A.method"),
        ("why_named", "renamed"),
        ("why_named", "made"),
        ("why_vague", "anything"),
        ("why_broken", "anything"),
        ("why_gone", "anything"),
        ("os", "path"),
    ]
    assert missing_names(names) == []
    assert missing_names([("why_named", "B.method"), ("os", "no_such")]) == [
        ("why_named", "B.method"),
        ("os", "no_such"),
    ]
    assert not {"why_named", "why_vague", "why_broken"} & set(sys.modules)


def test_what_a_task_imports_is_named(inproc_client):
    def needs(dask_scheduler):
        own = eval("lambda: 1", {"__name__": "__main__"})
        import yaml

        return [needs_of(dask_scheduler, "k", spec) for spec in (own, yaml.safe_load)]

    by_value, by_name = inproc_client.run_on_scheduler(needs)
    assert (by_value["by_value"], by_value["names"]) == (True, [])
    assert (by_name["by_value"], by_name["names"]) == (False, [("yaml", "safe_load")])
    assert by_name["python"] == platform.python_version()
    assert set(by_name["pythons"].values()) == {platform.python_version()}
