"""What looks leave on a scheduler: their extension, and no more."""

from __future__ import annotations

import gc
import threading

import dask
import pytest
import tasks
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, wait
from jobs import fail
from on_off_looks import other_version
from watching import forgotten, remove_extension, wait_until

import dbgkit
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import LiveView

pytestmark = pytest.mark.usefixtures("recorder_off")


def kept(dask_scheduler):
    """All that a scheduler keeps by name, where dbgkit may have left something."""
    scheduler = dask_scheduler
    return {
        "prefixes": sorted(scheduler.task_prefixes),
        "groups": sorted(map(str, scheduler.task_groups)),
        "topics": sorted(scheduler._broker._topics),
        "computed": sorted(
            str(group.name) for each in scheduler.computations for group in each.groups
        ),
        "computations": len(scheduler.computations),
        "tasks": sorted(map(str, scheduler.tasks)),
        "handlers": sorted(map(str, scheduler.handlers)),
        "plugins": sorted(map(str, scheduler.plugins)),
        "clients": sorted(scheduler.clients),
    }


def make_room(client):
    """Have a scheduler forget its computations: one more may have the oldest go."""
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.computations.clear())


@pytest.fixture
def failed(client):
    """A failed task whose input is there no more."""
    make_room(client)
    held = client.submit(tasks.inc, 1, key="let-go-1")
    future = client.submit(tasks.boom, held, key="boom-of-it")
    wait(future)
    del held
    dbgkit.failures(client=client)  # the extension is there
    wait_until(
        lambda: (
            "let-go-1" not in str(client.who_has()) or not client.who_has("let-go-1")
        ),
        "its input was let go of",
    )
    yield future.key
    del future
    forgotten(client)


VERBS = {
    "replay": lambda target, **options: dbgkit.replay(target, **options).close(),
    "replay in a process": lambda target, **options: dbgkit.replay(
        target, where="process", **options
    ).close(),
    "replay on a worker": lambda target, **options: dbgkit.replay(
        target, where="worker", **options
    ).close(),
    "replay of the ancestors": lambda target, **options: dbgkit.replay(
        target, scope="ancestors", **options
    ).close(),
    "locate": dbgkit.locate,
    "failures": lambda target, **options: dbgkit.failures(**options),
    "tasks": lambda target, **options: dbgkit.tasks(**options),
    "story": dbgkit.story,
    "why": dbgkit.why,
    "peek": lambda target, **options: dbgkit.peek(**options),
    "doctor": lambda target, **options: dbgkit.doctor(**options),
    "deaths": lambda target, **options: dbgkit.deaths(**options),
    "recordings": dbgkit.recordings,
    "record": lambda target, **options: dbgkit.record(**options).off(),
}


@pytest.mark.parametrize("by", ["client", "address"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_leaves_no_name_on_the_scheduler(client, failed, verb, by):
    before = client.run_on_scheduler(kept)
    where = client if by == "client" else client.scheduler.address
    VERBS[verb](failed, client=where)
    wait_until(
        lambda: client.run_on_scheduler(kept) == before or None,
        f"all is as before {verb}",
        10,
    )


def test_a_recompute_that_fails_leaves_no_name_either(client, tmp_path):
    make_room(client)
    path = tmp_path / "there"
    path.touch()
    held = client.submit(needs, str(path), key="needs-1")
    future = client.submit(tasks.boom, held, key="boom-of-needs")
    wait(future)
    del held
    path.unlink()
    dbgkit.failures(client=client)
    before = client.run_on_scheduler(kept)
    with pytest.raises(dbgkit.errors.RecomputeFailed):
        dbgkit.replay(future, client=client)
    wait_until(lambda: client.run_on_scheduler(kept) == before, "all is as before", 10)


def needs(path):
    with open(path) as file:
        return len(file.read())


def test_a_users_own_tasks_that_run_meanwhile_keep_their_names(client, failed):
    other = client.submit(tasks.inc, 41, key="of-the-user-1")
    with dbgkit.replay(failed, client=client):
        assert other.result() == 42
    found = client.run_on_scheduler(kept)
    assert "of-the-user" in found["prefixes"]
    assert any(name.startswith("of-the-user") for name in found["computed"])
    del other


# -- the extension ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared():
    own = own_cluster(n_workers=1, threads_per_worker=2, processes=False)
    # Made before `recorder_off` holds, which is a test's.
    with dask.config.set(RECORDER_OFF), own as client:
        yield client


def extensions(client):
    """Names of extensions of ours: as plugins, and of their handlers."""

    def names(dask_scheduler):
        return {
            "plugins": [str(name) for name in dask_scheduler.plugins],
            "handlers": [str(name) for name in dask_scheduler.handlers],
        }

    found = client.run_on_scheduler(names)
    return {
        place: sorted(
            name
            for name in each
            if name.startswith("dbgkit-")
            and not name.startswith(("dbgkit-recorder", "dbgkit-deaths"))
        )
        for place, each in found.items()
    }


def take_plugin(client):
    client.unregister_scheduler_plugin(extension_name())


def take_handlers(client):
    name = extension_name()

    def take(dask_scheduler):
        for each in [one for one in dask_scheduler.handlers if one.startswith(name)]:
            del dask_scheduler.handlers[each]

    client.run_on_scheduler(take)


@pytest.mark.parametrize("take", [take_plugin, take_handlers])
def test_half_an_extension_is_made_whole_by_a_look_and_can_be_taken_off(shared, take):
    future = fail(shared, tasks.ratio, 5, 0)
    link = Link(shared, 30)
    link.visit()
    take(shared)
    assert dbgkit.locate(future).key == future.key
    assert dbgkit.failures(client=shared).total >= 1
    remove_extension(shared)
    assert extensions(shared) == {"plugins": [], "handlers": []}


def test_looks_go_on_while_others_take_the_extension_off(shared):
    """Four clients of five threads: each look is answered, and right."""
    future = fail(shared, tasks.ratio, 5, 0)
    address = shared.scheduler.address
    done, errors = threading.Event(), []

    def looks(client):
        for _ in range(5):
            assert dbgkit.locate(future.key, client=client).key == future.key
            keys = [
                key for g in dbgkit.failures(client=client).groups for key in g.keys
            ]
            assert future.key in keys

    def removes():
        while not done.is_set():
            with Client(address, set_as_default=False) as other:
                link = Link(other, 30)
                link.visit()
                remove_extension(other)

    def run(job, *args):
        try:
            job(*args)
        except BaseException as error:
            errors.append(error)

    clients = [Client(address, set_as_default=False) for _ in range(4)]
    removing = threading.Thread(target=run, args=(removes,))
    looking = [
        threading.Thread(target=run, args=(looks, client))
        for client in clients
        for _ in range(5)
    ]
    for thread in (removing, *looking):
        thread.start()
    for thread in looking:
        thread.join(90)
    done.set()
    removing.join(30)
    for client in clients:
        client.close()
    assert not errors
    assert not any(thread.is_alive() for thread in (removing, *looking))
    link = Link(shared, 30)
    link.visit()
    remove_extension(shared)
    assert extensions(shared) == {"plugins": [], "handlers": []}


def test_one_that_was_taken_off_is_kept_by_nothing(shared):
    """Dask's own cache of handlers keeps what has handled a message."""

    def alive(dask_scheduler):
        """Those of other schedulers of this process included."""
        gc.collect()
        return sum(type(each).__name__ == "Extension" for each in gc.get_objects())

    before, link = shared.run_on_scheduler(alive), Link(shared, 30)
    for _ in range(3):
        link.visit()
        remove_extension(shared)
    assert shared.run_on_scheduler(alive) == before


def test_one_versions_extension_stays_as_another_goes(shared, monkeypatch):
    link = Link(shared, 30)
    link.visit()
    mine = extension_name()
    with (
        Client(shared.scheduler.address, set_as_default=False) as other,
        other_version(monkeypatch),
    ):
        theirs = Link(other, 30)
        assert LiveView(theirs).ask("counts", {}) is not None
        assert len(extensions(shared)["plugins"]) == 2
        remove_extension(other)
    assert extensions(shared)["plugins"] == [mine]
    remove_extension(shared)
