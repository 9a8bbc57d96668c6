"""Each look at a secured cluster: with its client, and by its address alone."""

from __future__ import annotations

from pathlib import Path

import dask
import pytest
from conftest import own_cluster
from distributed import wait
from distributed.security import Security
from peek_tasks import wait_there
from tasks import boom

import dbgkit
from dbgkit.errors import SchedulerGone


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A client of a cluster that takes nobody without a certificate.

    Also the settings that one has who connects by the address.
    """
    security = Security.temporary()
    credentials = security.get_tls_config_for_role("client")
    folder = tmp_path_factory.mktemp("tls")
    files = {}
    for name, text in (
        ("ca-file", credentials["ca_file"]),
        ("client.cert", credentials["cert"]),
        ("client.key", credentials["key"]),
    ):
        path = folder / f"{name}.pem"
        path.write_text(text)
        files[f"distributed.comm.tls.{name}"] = str(path)
    files["distributed.comm.require-encryption"] = True
    with own_cluster(
        n_workers=1, processes=True, protocol="tls://", security=security
    ) as client:
        path = str(tmp_path_factory.mktemp("tls-peek") / "go")
        futures = [
            client.submit(boom, 1, key="bad-1"),
            client.submit(boom, 1, key="stuck-1", resources={"GPU": 1}),
            client.submit(wait_there, path, key="runs-1"),
        ]
        wait(futures[0])
        yield client, files
        Path(path).touch()


@pytest.fixture(params=["client", "address"])
def reached(request, secured):
    """What ``client=`` takes."""
    client, files = secured
    if request.param == "client":
        yield client
    else:
        with dask.config.set(files):
            yield client.scheduler.address


def test_failures(reached):
    (group,) = dbgkit.failures(client=reached).groups
    assert group.exception_type == "ValueError"
    assert group.workers[0].startswith("tls://")


def test_tasks(reached):
    table = dbgkit.tasks(client=reached)
    states = {row.key: row.state for row in table.rows}
    assert states == {
        "bad-1": "erred",
        "stuck-1": "no-worker",
        "runs-1": "processing",
    }


def test_story(reached):
    story = dbgkit.story("bad-1", client=reached)
    assert any(moment.found_in.startswith("tls://") for moment in story.moments)
    assert not any("not answer" in note for note in story.notes)


def test_why(reached):
    assert dbgkit.why("stuck-1", client=reached).cause == "resources-unmet"
    assert dbgkit.why(client=reached).cause == "resources-unmet"


def test_peek(reached):
    found = dbgkit.peek("runs-1", client=reached, times=2, every=0.01)
    assert found[0].worker.startswith("tls://")
    assert found[0].frames[0].function == "wait_there"
    assert [task.key for task in dbgkit.peek(client=reached)] == ["runs-1"]


def test_doctor(reached):
    levels = {each.check: each.level for each in dbgkit.doctor(client=reached).findings}
    assert levels["workers"] == levels["versions"] == "ok"


def test_without_a_certificate_it_is_said_in_a_line(secured):
    client, _ = secured
    with pytest.raises(SchedulerGone, match="tls://") as caught:
        dbgkit.failures(client=client.scheduler.address, timeout="5s")
    assert "\n" not in str(caught.value)
