"""The checks of `doctor`: findings from facts, each with advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dbgkit import advice
from dbgkit.diagnose.sentences import first_lines, size
from dbgkit.model import Finding

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Checked, Examined, ExaminedWorker

Probes = Mapping[str, "Checked | None"]

SILENT_AFTER = 30.0  # seconds without a heartbeat
SHORT_LOG = 1000  # entries: Dask's default of low-level-log-length
SHORT_WORKER_LOG = 1000  # lines of a worker's log
SHORT_ERROR = 10_000  # bytes: Dask's default of max-error-length
SHORT_HISTORY = 20  # failures
MANY_DEATHS = 10
HELD_BYTES = 100_000_000  # less is no matter

_LOG_LENGTH = "distributed.admin.log-length"
_LOW_LEVEL = "distributed.admin.low-level-log-length"
_MAX_ERROR = "distributed.admin.max-error-length"
_HISTORY = "distributed.diagnostics.erred-tasks.max-history"
_ALLOWED = "distributed.scheduler.allowed-failures"
_TTL = "distributed.scheduler.worker-ttl"


def check_answers(facts: Examined, probes: Probes, live: bool) -> Iterable[Finding]:
    """Whether there are workers, and whether they answer."""
    workers = facts["workers"]
    if not workers:
        yield Finding(
            "workers",
            "problem",
            "no worker is connected",
            "start workers; if some were started, check their own logs",
        )
        return
    silent = dict.fromkeys(facts["not_dumped"], "did not answer when the dump was made")
    if live:
        silent = {
            worker["address"]: f"no heartbeat for {worker['silent']:.0f} s"
            for worker in workers
            if (worker["silent"] or 0.0) > SILENT_AFTER
        }
        for address, probe in probes.items():
            if probe is None:
                silent.setdefault(address, "did not answer")
    if not silent:
        yield Finding("workers", "ok", f"all {len(workers)} workers answer")
        return
    yield Finding(
        "workers",
        "problem",
        f"{len(silent)} of {len(workers)} workers do not answer",
        "check the processes: a task may hold the GIL, a machine may be out of memory, "
        f"the network may be down; {advice.call('why')} names what runs there",
        first_lines(f"worker {address}: {how}" for address, how in silent.items()),
    )


def check_paused(facts: Examined) -> Finding:
    """Whether workers have stopped taking tasks."""
    paused = [worker for worker in facts["workers"] if worker["status"] == "paused"]
    if not paused:
        return Finding("paused", "ok", "no worker is paused")
    return Finding(
        "paused",
        "problem",
        f"{len(paused)} of {len(facts['workers'])} workers are paused",
        "free memory there (release futures, smaller chunks) or give the workers "
        "more: a paused worker starts no task until its memory falls",
        first_lines(f"worker {worker['address']}{_usage(worker)}" for worker in paused),
    )


def _usage(worker: ExaminedWorker) -> str:
    used, limit = worker["memory"], worker["memory_limit"]
    return f": {size(used)} of {size(limit)} in use" if used and limit else ""


def check_nannies(facts: Examined) -> Finding:
    """Whether each worker has a nanny."""
    apart = [w for w in facts["workers"] if not w["address"].startswith("inproc:")]
    alone = [each["address"] for each in apart if not each["nanny"]]
    if not alone:
        said = "each worker has a nanny" if apart else "all run in one process"
        return Finding("nannies", "ok", said)
    return Finding(
        "nannies",
        "warning",
        f"{len(alone)} of {len(facts['workers'])} workers have no nanny",
        "start workers with a nanny (the default): without one, nothing enforces a "
        "worker's memory limit, restarts it, or reports how it died",
        first_lines(f"worker {address}" for address in alone),
    )


def check_logs(facts: Examined, probes: Probes) -> Iterable[Finding]:
    """Whether the logs reach back far enough for stories."""
    log = facts["transitions"]
    made, most = log["made"], log["most"]
    rolled = made is not None and made > log["length"]
    settings = _setting(facts, probes, _LOW_LEVEL)
    if "scheduler" in settings:  # its log has the length that was set at its start
        settings["scheduler"] = most
    short = [f"{who}: {n}" for who, n in settings.items() if _below(n, SHORT_LOG)]
    advice = f"raise the setting {_LOW_LEVEL} before scheduler and workers start"
    if rolled:
        reach = facts["now"] - log["since"] if log["since"] else 0.0
        yield Finding(
            "transition-log",
            "warning",
            f"the scheduler's log has rolled over: it reaches back {reach:.0f} s, so "
            "stories of tasks that ran before lack their beginning",
            advice,
            (
                f"{(made or 0) - log['length']} of {made} transitions are gone",
                *first_lines(short),
            ),
        )
    elif short:
        yield Finding(
            "transition-log",
            "warning",
            "the logs are too short for the stories of more than a few tasks",
            advice,
            first_lines(short),
        )
    else:
        of = f"of {most} " if most else ""
        said = f"the scheduler's log holds all {log['length']} {of}transitions"
        yield Finding("transition-log", "ok", said)
    lengths = _setting(facts, probes, _LOG_LENGTH)
    few = [f"{who}: {n}" for who, n in lengths.items() if _below(n, SHORT_WORKER_LOG)]
    silenced = [
        f"worker {address} logs no errors"
        for address, probe in probes.items()
        if probe and probe["hides_failures"]
    ]
    if few or silenced:
        yield Finding(
            "worker-logs",
            "warning",
            "logs keep too few lines, or no errors: only they have failures that a "
            "retry healed, or that the scheduler has forgotten",
            f"raise {_LOG_LENGTH}, and the level of the logger distributed.worker to "
            "ERROR or finer",
            first_lines([*few, *silenced]),
        )
    else:
        yield Finding("worker-logs", "ok", "logs keep enough lines")


def check_history(facts: Examined) -> Iterable[Finding]:
    """Whether the scheduler's memory of failures is long enough."""
    history = facts["failures"]
    if history is None:
        return
    most = history["most"]
    if most is not None and most < SHORT_HISTORY:
        yield Finding(
            "failure-history",
            "warning",
            f"the scheduler remembers only {most} failures",
            f"raise the setting {_HISTORY}: once a failed compute() has released its "
            "tasks, nothing else records what they raised",
        )
    elif most is not None and history["length"] >= most:
        since = datetime.fromtimestamp(history["since"] or 0.0, tz=timezone.utc)
        yield Finding(
            "failure-history",
            "warning",
            f"the scheduler's history of failures is full: it holds the last {most}, "
            f"since {since:%Y-%m-%d %H:%M:%S} UTC",
            f"raise the setting {_HISTORY}, and hold the futures of tasks that matter",
        )
    else:
        said = f"{history['length']} of at most {most} failures are remembered"
        yield Finding("failure-history", "ok", said)


def check_failed_frames(probes: Probes, live: bool) -> Iterable[Finding]:
    """How much memory the frames of failed tasks hold on the workers."""
    if not live:
        return
    # Workers in one process hold the same.
    held = {
        address: probe["held"]
        for address, probe in _one_of_each_process(probes).items()
        if probe["held"]["bytes"]
    }
    total = sum(each["bytes"] for each in held.values())
    if total < HELD_BYTES:
        said = f"frames of failed tasks hold {size(total)}"
        yield Finding("failed-frames", "ok", said)
        return
    lines = []
    for address, each in sorted(held.items(), key=lambda item: -item[1]["bytes"]):
        name, nbytes = each["functions"][0]
        lines.append(
            f"worker {address}: {size(each['bytes'])} in {each['frames']} "
            f"frames, most of it in {name} ({size(nbytes)})"
        )
    yield Finding(
        "failed-frames",
        "warning",
        f"frames of failed tasks still hold {size(total)} on the workers",
        "client.run(gc.collect) frees it; Python itself does so only at its next full "
        "garbage collection",
        first_lines(lines),
    )


def check_tracebacks(facts: Examined, probes: Probes) -> Finding:
    """Whether exceptions and tracebacks arrive whole."""
    limits = _setting(facts, probes, _MAX_ERROR)
    short = [f"{who}: {n}" for who, n in limits.items() if _below(n, SHORT_ERROR)]
    keys = [str(key)[:200] for key in facts["lost_tracebacks"]]
    lost = [f"{key} arrived without its traceback" for key in keys]
    if not short and not lost:
        return Finding("tracebacks", "ok", "no traceback is known to have been cut off")
    return Finding(
        "tracebacks",
        "warning",
        "exceptions are cut short, or arrive without their tracebacks",
        f"raise the setting {_MAX_ERROR} on the workers (bytes); what dbgkit shows is "
        "the scheduler's own text, which is whole",
        first_lines([*short, *lost]),
    )


def check_settings(facts: Examined, probes: Probes) -> Iterable[Finding]:
    """Settings that make innocent tasks fail, or hide failures."""
    allowed = facts["allowed_failures"]
    if allowed == 0:
        yield Finding(
            "allowed-failures",
            "warning",
            "allowed-failures is 0: when a worker dies, every task that it ran fails",
            f"set {_ALLOWED} to 1 or more, so that tasks that merely ran next to the "
            "culprit are retried elsewhere",
        )
    elif allowed is not None and allowed > MANY_DEATHS:
        yield Finding(
            "allowed-failures",
            "warning",
            f"allowed-failures is {allowed}: a task that kills its worker kills "
            f"{allowed + 1} of them before Dask reports it as failed",
            f"lower {_ALLOWED}; the default is 3",
        )
    else:
        yield Finding("allowed-failures", "ok", f"allowed-failures is {allowed}")
    settings = facts["settings"]
    if _TTL in settings and settings[_TTL] is None:
        yield Finding(
            "worker-ttl",
            "warning",
            "worker-ttl is off: a worker that hangs is never removed, and its tasks "
            "are never retried elsewhere",
            f"set {_TTL} to the default, 5 minutes, or so",
        )
    elif settings:
        said = f"silent workers are removed after {settings.get(_TTL)}"
        yield Finding("worker-ttl", "ok", said)


def check_recorder(probes: Probes) -> Iterable[Finding]:
    """Whether the recorder, where it is on, has recorded what it should have."""
    found = [
        (address, state)
        for address, probe in probes.items()
        for state in (probe["recorders"] if probe else ())
    ]
    if not found:
        return
    failed = [f"worker {at}: {text}" for at, state in found for text in state["errors"]]
    dropped = sum(state["dropped"] for _, state in found)
    if failed or dropped:
        yield Finding(
            "recorder",
            "warning",
            f"the recorder failed {len(failed)} times, and dropped {dropped} "
            "recordings",
            "the job is unaffected; these failures have no recording",
            first_lines(failed),
        )
    else:
        count = len({address for address, _ in found})
        yield Finding("recorder", "ok", f"the recorder is on, on {count} workers")


# -- what the checks share ----------------------------------------------------


def _setting(facts: Examined, probes: Probes, name: str) -> dict[str, Any]:
    """A known setting by who has it; workers with the same value as one."""
    found: dict[str, Any] = {}
    if name in facts["settings"]:
        found["scheduler"] = facts["settings"][name]
    known = [probe["settings"] for probe in probes.values() if probe]
    values = Counter(settings[name] for settings in known if name in settings)
    for value, count in values.items():
        found[f"{count} workers" if count > 1 else "a worker"] = value
    return found


def _one_of_each_process(probes: Probes) -> dict[str, Checked]:
    found: dict[Any, tuple[str, Checked]] = {}
    for address, probe in probes.items():
        if probe:
            place = urlsplit(address).hostname, probe["pid"]
            found.setdefault(place, (address, probe))
    return dict(found.values())


def _below(value: Any, least: int) -> bool:
    return type(value) in (int, float) and bool(value < least)
