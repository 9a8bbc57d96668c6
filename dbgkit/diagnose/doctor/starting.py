"""Whether workers and plugins start as they should: checks of `doctor`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dbgkit import advice
from dbgkit.diagnose.sentences import counted, cut, first_lines, several
from dbgkit.model import Finding
from dbgkit.remote.scheduler.doctor_logs import EARLY
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Checked, Examined, Leaver

Probes = Mapping[str, "Checked | None"]

MOST_TEXT = 300  # characters of an exception
MANY_LEFT = 2  # workers that leave at start: one may have been told to


# Why a worker closes whose start failed (Server.start in distributed/core.py).
_FAILED = re.compile(r"failure-to-start-(?:<class ')?(?P<error>[\w.]+)")


def check_leavers(facts: Examined) -> Iterable[Finding]:
    """Whether workers leave as soon as they have started, or cannot start at all."""
    nannies = facts["nannies"]
    if nannies is None:
        return
    no_start = nannies["no_start"]
    failed = [each for each in facts["leavers"] if _FAILED.search(each["reason"])]
    left = [
        each
        for each in facts["leavers"]
        if each not in failed and each["lived"] < EARLY
    ]
    if len(left) < MANY_LEFT:
        left = []
    if not (failed or left or no_start):
        said = "no workers are known to have left as they started"
        yield Finding("worker-starts", "ok", said)
        return
    told = []
    if failed:
        told.append(f"the start of {counted(len(failed), 'worker')} failed")
    if left:
        told.append(f"{len(left)} workers left within {EARLY:.0f} s of joining")
    if no_start:
        times = counted(len(no_start), "time")
        told.append(f"nannies could not start a worker {times}")
    hint = "the output of these workers has the error at their start"
    if any(each["tasks"] for each in left):
        hint = "a task may end the workers that it runs on"
    elif any("ModuleNotFoundError" in each["reason"] for each in failed):
        hint = (
            "a plugin that is registered, or a preload, may need a module that they "
            "lack: client.unregister_worker_plugin(name), or bring the module there"
        )
    yield Finding(
        "worker-starts",
        "problem",
        " and ".join(told),
        f"{advice.call('deaths')} says what is known of each worker that left; {hint}",
        first_lines(
            [
                *map(_left, (*failed, *left)),
                *(f"a nanny: {redact_text(each)}" for each in no_start),
            ]
        ),
    )


def _left(leaver: Leaver) -> str:
    had = f", with {counted(leaver['tasks'], 'task')}" if leaver["tasks"] else ""
    failed = _FAILED.search(leaver["reason"])
    if failed is not None:
        return f"worker {leaver['worker']}: its start failed with {failed['error']}"
    why = f": {leaver['reason']}" if leaver["reason"] else ""
    return f"worker {leaver['worker']} left after {leaver['lived']:.1f} s{had}{why}"


def check_plugins(facts: Examined, probes: Probes) -> Iterable[Finding]:
    """Whether plugins failed as they were set up, or raise as they are called."""
    failed: dict[tuple[str, str, str], list[str]] = {}
    for address, probe in probes.items():
        for plugin, error in probe["failed_plugins"] if probe else ():
            failed.setdefault(("worker", plugin, error), []).append(address)
    for each in facts["failed_plugins"]:
        group = "worker", each["plugin"], each["error"]
        failed.setdefault(group, []).append(each["at"])
    for each in (facts["nannies"] or {"failed": []})["failed"]:
        group = "nanny", each["plugin"], each["error"]
        failed.setdefault(group, []).append(each["at"])
    if failed:
        named = _named({plugin for _, plugin, _ in failed})
        yield Finding(
            "plugins",
            "problem",
            f"{named} could not be set up: workers run without what it does",
            "correct the plugin, register it again, and restart these workers: Dask "
            "reports such an error only in the worker's log",
            first_lines(
                f"{plugin} on {_who(kind, where)}: {cut(redact_text(error), MOST_TEXT)}"
                for (kind, plugin, error), where in failed.items()
            ),
        )
    raising = facts["raising"]
    if raising:
        named = _named({each["plugin"] for each in raising})
        yield Finding(
            "plugins",
            "warning",
            f"on the scheduler, {named} raised: tasks go on, without what it does",
            "correct the plugin, or client.unregister_scheduler_plugin(name): each "
            "error costs the scheduler time, and fills its log",
            first_lines(
                f"{each['plugin']} in {each['place']}: {redact_text(each['error'])}, "
                f"{counted(each['count'], 'time')} in the scheduler's log"
                for each in raising
            ),
        )
    if not (failed or raising):
        yield Finding("plugins", "ok", _plugins_fine(facts, probes))


def _named(names: set[str]) -> str:
    return f"plugin{'s' if len(names) > 1 else ''} {several(map(repr, sorted(names)))}"


def _who(kind: str, where: list[str]) -> str:
    if len(where) == 1:
        return f"{kind} {where[0]}" if where[0] else f"a {kind}"
    return f"{len(where)} {'nannies' if kind == 'nanny' else 'workers'}"


def _plugins_fine(facts: Examined, probes: Probes) -> str:
    """What is known, and what only the output of a process would tell."""
    said = ["no plugin is known to have failed"]
    if facts["hides_raising"]:
        said.append(
            "whether one raises at transitions is not known, as the scheduler's log "
            "leaves out the level INFO"
        )
    preloads = {*facts["preloads"]}
    for probe in probes.values():
        preloads.update(probe["preloads"] if probe else ())
    if preloads:
        said.append(
            f"whether preloads ({several(sorted(preloads))}) failed is not known: only "
            "the output of their process has it"
        )
    return "; ".join(said)
