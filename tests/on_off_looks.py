"""What there is of a recorder, as the scheduler, workers and nannies have it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any

from dbgkit.cluster import extension, shipping

KINDS = ("dbgkit-recorder", "dbgkit-deaths")


def on_scheduler(dask_scheduler: Any) -> Any:
    """Names of ours, by the place where they are; those of looks apart."""
    scheduler = dask_scheduler
    places = {
        "handlers": scheduler.handlers,
        "plugins": scheduler.plugins,
        "worker plugins": scheduler.worker_plugins,
        "nanny plugins": scheduler.nanny_plugins,
        "topics": scheduler._broker._topics,
        "clients": scheduler.clients,
    }
    return {
        place: sorted(str(name) for name in names if str(name).startswith(KINDS))
        for place, names in places.items()
    }


def on_server(dask_worker: Any) -> Any:
    """The same on a worker, or a nanny, with its tasks and hooks."""
    server = dask_worker
    hooked = "_on_worker_exit_sync" in vars(server)
    tasks = getattr(getattr(server, "state", None), "tasks", {})
    wrapped = [
        key for key, ts in tasks.items() if "Watched" in type(ts.run_spec).__name__
    ]
    return {
        "plugins": sorted(name for name in server.plugins if name.startswith(KINDS)),
        "handlers": sorted(name for name in server.handlers if name.startswith(KINDS)),
        "hooks": ["exits"] if hooked else [],
        "wrapped": sorted(map(str, wrapped)),
        "threads": sorted(
            each.name for each in threading.enumerate() if "black box" in each.name
        ),
    }


def parts(client: Any) -> Any:
    """All that there is of recorders of any version, by where it is."""
    found = {"scheduler": client.run_on_scheduler(on_scheduler)}
    found.update(client.run(on_server))
    if any(
        each["nanny"]
        for each in client.scheduler_info(n_workers=-1)["workers"].values()
    ):
        nannies = client.run(on_server, nanny=True)
        found.update({f"nanny of {each}": there for each, there in nannies.items()})
    return found


def is_gone(found: Any) -> Any:
    """Whether there is nothing left."""
    return not any(names for there in found.values() for names in there.values())


def is_whole(found: Any, version: Any = None) -> Any:
    """Whether one version of it is everywhere."""
    recorder = shipping.recorder_name() if version is None else version[0]
    deaths = shipping.deaths_name() if version is None else version[1]
    scheduler = found["scheduler"]
    if not (
        {recorder, deaths} <= set(scheduler["plugins"])
        and recorder in scheduler["worker plugins"]
        and deaths in scheduler["nanny plugins"]
        and f"{recorder}-on" in scheduler["handlers"]
        and f"{deaths}-list" in scheduler["handlers"]
    ):
        return False
    servers = {where: there for where, there in found.items() if where != "scheduler"}
    return all(
        (deaths if where.startswith("nanny") else recorder) in there["plugins"]
        for where, there in servers.items()
    )


@contextmanager
def other_version(monkeypatch: Any) -> Any:
    """As a client would be that has another version of all code to send."""
    own = shipping.sources_of

    def sources_of(module: Any) -> Any:
        return tuple((name, f"{text}\n# other\n") for name, text in own(module))

    with monkeypatch.context() as patch:
        patch.setattr(shipping, "sources_of", sources_of)
        patch.setattr(shipping, "digest_of", shipping.digest_of.__wrapped__)
        patch.setattr(extension, "digest_of", shipping.digest_of)
        yield shipping.recorder_name(), shipping.deaths_name()
