"""What workers know of the tasks assigned to them: live, or in a dump."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.answers import read_answer
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedFunction, deaths_name, recorder_name
from dbgkit.cluster.why_memory import dumped_memory
from dbgkit.cluster.workers import PROBE_LIMIT, ask_workers, read_all_said
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.leases import held_here
from dbgkit.remote.common.log_records import logged_plugins
from dbgkit.remote.worker.why import SAMPLE, URGENT, since
from dbgkit.remote.worker.why_errors import errors_in

if TYPE_CHECKING:
    from dbgkit.cluster.dumps import DumpState
    from dbgkit.remote.common.wire import Foresee
    from dbgkit.remote.common.wire_failures import Needs
    from dbgkit.remote.common.wire_why_late import Usage
    from dbgkit.remote.common.wire_why_waits import Holders
    from dbgkit.remote.common.wire_why_workers import (
        Executing,
        LoggedError,
        Probe,
        ProbedTask,
    )

MOST_EXECUTING = 20  # of one worker of a dump
_MISSING = ShippedFunction("common.modules", "missing_modules")
_LACKED = ShippedFunction("common.modules", "missing_names")
_PROBE = ShippedFunction("worker.why", "look_at_tasks")
_ERRORS = ShippedFunction("worker.why_errors", "last_errors")
_PROCESS = ShippedFunction("nanny.why", "look_at_process")
_HOLDERS = ShippedFunction("common.leases", "holders_of")


def probe_workers(link: Link, wanted: Mapping[str, Iterable[Any]]) -> dict[str, Probe]:
    """State and call stacks of tasks on their workers, all workers asked at once.

    ``wanted`` has the keys to ask each worker for, by address. Workers that do not
    answer within a few seconds, or that die meanwhile, are left out.
    """
    asked = {address: list(keys) for address, keys in wanted.items()}
    came, foreseen = link.foreseen.take("probe", asked)
    if came:
        answers = read_all_said(_PROBE, read_answer("run", {}, foreseen))
        answers = {at: one for at, one in answers.items() if isinstance(one, dict)}
    else:
        arguments = {address: (keys,) for address, keys in asked.items()}
        answers = ask_workers(link, _PROBE, arguments, dict)
    return answers


def holders_on_workers(
    link: Link, workers: Iterable[str], leases: list[str], *, everywhere: bool
) -> dict[str, Holders]:
    """Which leases of locks are held on some workers, and by which tasks.

    With ``everywhere``, those that nobody refreshes too, which takes longer.
    """
    arguments = {address: (leases, everywhere) for address in workers}
    found: dict[str, Any] = ask_workers(link, _HOLDERS, arguments, dict)
    return found


def logged_errors(
    link: Link, workers: Iterable[str], keys: list[Any]
) -> list[LoggedError]:
    """The newest errors of some tasks that workers have logged, the newest first."""
    arguments = {address: (keys,) for address in workers}
    answers: dict[str, list[LoggedError]] = ask_workers(link, _ERRORS, arguments, list)
    found = [each for answer in answers.values() for each in answer]
    return sorted(found, key=lambda each: -each["when"])


def dumped_errors(state: DumpState, keys: list[Any]) -> list[LoggedError]:
    """As `logged_errors`, out of a dump: its logs have the newest line first."""
    found: list[LoggedError] = []
    for own in state.worker_dumps.values():
        lines = ((0.0, str(line[-1])) for line in own.get("logs") or () if line)
        found += errors_in(lines, keys)
    return found


def processes_of(link: Link, workers: Iterable[str]) -> dict[str, Usage]:
    """What processes of workers do, as their nannies see it; without one, nothing."""
    arguments: dict[str, tuple[Any, ...]] = {address: () for address in workers}
    found: dict[str, Any] = ask_workers(link, _PROCESS, arguments, dict, nannies=True)
    return found


def leases_here(link: Link, leases: list[str]) -> set[str]:
    """Those that this process holds."""
    loop = link.client.loop.asyncio_loop
    return set(held_here(loop, leases))


def missing_on_workers(link: Link, needs: Needs) -> dict[str, list[str]]:
    """Which modules of a task some workers lack, by address; none is imported there."""
    names = [module["name"] for module in needs["modules"]]
    if not names:
        return {}
    arguments = {address: (names,) for address in needs["workers"]}
    return ask_workers(link, _MISSING, arguments, list)


def lacked_names(link: Link, needs: Needs) -> dict[str, list[list[str]]]:
    """Which names some workers' modules lack of those that a task imports."""
    if not needs["names"]:
        return {}
    arguments = {address: (needs["names"],) for address in needs["workers"]}
    return ask_workers(link, _LACKED, arguments, list)


def foreseeing(link: Link, nbytes: int) -> Foresee:
    """Names by which ``remote.scheduler.foresight`` answers the next questions.

    At most ``nbytes`` of recordings come along.
    """
    return {
        "recorder": recorder_name(),
        "deaths": deaths_name(),
        "nbytes": nbytes,
        "probe": dumps(_PROBE),
        "limit": min(PROBE_LIMIT, link.timeout),
    }


def planned_workers(client: Any) -> list[str]:
    """What the client's cluster manager says of workers that are still to come."""
    cluster = getattr(client, "cluster", None)
    if cluster is None:
        return []
    found = []
    missing = _to_come(cluster)
    if missing:
        more = "worker" if len(missing) == 1 else "workers"
        found.append(f"the cluster has asked for {len(missing)} more {more}")
    adaptive = _adaptive(cluster)
    if adaptive is not None:
        most = adaptive.maximum
        found.append(f"the cluster is adaptive, {adaptive.minimum} to {most} workers")
        if most == 0:
            return []
    return found


def _adaptive(cluster: Any) -> Any:
    """What scales a cluster: ``Cluster._adaptive``, there after ``Cluster.adapt``."""
    return getattr(cluster, "_adaptive", None)


def may_grow(client: Any) -> bool:
    """Whether the client's cluster manager is to have more workers than there are."""
    cluster = getattr(client, "cluster", None)
    if _to_come(cluster):
        return True
    adaptive = _adaptive(cluster)
    plan = set(getattr(cluster, "plan", ()))
    return adaptive is not None and len(plan) < adaptive.maximum


def none_comes_again(client: Any) -> bool:
    """Whether no worker that the client's own cluster manager had comes back."""
    cluster = getattr(client, "cluster", None)
    workers = getattr(cluster, "workers", None)
    planned = getattr(cluster, "plan", ())
    if not isinstance(workers, dict) or not (workers or planned):
        return False
    return not _to_come(cluster) and all(map(_has_left, workers.values()))


def _to_come(cluster: Any) -> set[Any]:
    """Names of workers that a cluster manager plans and does not see yet.

    ``Cluster.plan`` and ``.observed`` (distributed/deploy/cluster.py). A
    ``SpecCluster`` still plans a worker that was retired, but starts none in its place
    before it is scaled the next time. After ``lost-worker-timeout`` it drops that
    worker from ``workers``.
    """
    missing = set(getattr(cluster, "plan", ())) - set(getattr(cluster, "observed", ()))
    spec, workers = (
        getattr(cluster, name, None) for name in ("worker_spec", "workers")
    )
    if not (missing and isinstance(spec, dict) and isinstance(workers, dict)):
        return missing
    starts = _is_starting_some(cluster)
    jobs = {
        name: job
        for job, each in spec.items()
        for name in ([f"{job}{end}" for end in each.get("group", ())] or [job])
    }
    return {
        name
        for name in missing
        if ((job := jobs.get(name, name)) not in workers and starts)
        or (job in workers and not _has_left(workers[job]))
    }


def _is_starting_some(cluster: Any) -> bool:
    """Whether a cluster manager is starting workers, or about to.

    ``SpecCluster._correct_state`` (distributed/deploy/spec.py) does, under a lock.
    """
    lock = getattr(cluster, "_lock", None)
    waiting = getattr(cluster, "_correct_state_waiting", None)
    return waiting is not None or (lock is not None and lock.locked())


def _has_left(worker: Any) -> bool:
    """Whether a cluster manager's worker, or its nanny, will start no process again."""
    status = getattr(getattr(worker, "status", None), "name", "")
    return status in ("closing", "closing_gracefully", "closed", "failed")


def dumped_workers(
    state: DumpState, wanted: Mapping[str, Iterable[Any]]
) -> dict[str, Probe]:
    """As `probe_workers`, out of a dump: without call stacks, which no dump holds."""
    found = {}
    for address, keys in wanted.items():
        own = state.worker_dumps.get(address)
        if own is not None and "tasks" in own:
            probe = _dumped_worker(own, list(keys), state.taken)
            if probe["status"] != "running":
                probe["memory"] = dumped_memory(state, address)
            found[address] = probe
    return found


def _dumped_worker(own: Mapping[str, Any], keys: list[Any], now: float) -> Probe:
    tasks = {as_key(each["key"]): each for each in own["tasks"].values()}
    log = [[as_key(entry[0]), *entry[1:]] for entry in own.get("log") or () if entry]
    status = str(own.get("status", ""))
    executing: list[Executing] = [
        {
            "key": key,
            "since": tasks.get(key, {}).get("start_time"),
            "state": tasks.get(key, {}).get("state") or "",
        }
        for key in map(as_key, islice(own.get("executing") or (), MOST_EXECUTING))
    ]
    return {
        "now": now,
        "status": "running" if "running" in status else status,
        "nthreads": own.get("nthreads") or 0,
        "executing": sorted(executing, key=lambda entry: entry["since"] or 0.0),
        "seceded": [],
        "ready": len(own.get("ready") or ()),
        "constrained": len(own.get("constrained") or ()),
        "in_flight": [
            {"worker": address, "keys": len(flying)}
            for address, flying in (own.get("in_flight_workers") or {}).items()
        ],
        "transfer_limit": None,
        "tasks": [_dumped_task(tasks, log, key) for key in keys],
        "memory": None,
        "plugins": logged_plugins(own.get("logs") or ()),
    }


def _dumped_task(
    tasks: Mapping[Any, Mapping[str, Any]], log: list[Any], key: Any
) -> ProbedTask:
    ts = tasks.get(key, {})
    waiting = []
    if named := ts.get("waiting_for_data"):  # other tasks, by their repr
        texts = {f"<TaskState {k!r} {each['state']}>": k for k, each in tasks.items()}
        waiting = [texts[text] for text in named if text in texts]
    waiting.sort(key=lambda name: URGENT.get(tasks[name]["state"], 2))
    return {
        "key": key,
        "state": ts.get("state"),
        "since": (ts.get("start_time") or since(log, key)) if ts else None,
        "inputs": [
            {
                "key": name,
                "state": tasks[name]["state"],
                "from": tasks[name].get("coming_from")
                or next(iter(sorted(tasks[name].get("who_has") or ())), None),
                "since": since(log, name),
                "error": tasks[name].get("exception_text") or "",
            }
            for name in waiting[:SAMPLE]
        ],
        "stack": None,
        "waits": None,
    }
