"""Is this cluster fit for debugging: what to change before the next failure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dbgkit.cluster.dashboard import page_link
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.workers import run_on
from dbgkit.diagnose.doctor.checks import (
    check_answers,
    check_failed_frames,
    check_history,
    check_logs,
    check_nannies,
    check_paused,
    check_recorder,
    check_settings,
    check_tracebacks,
)
from dbgkit.diagnose.doctor.files import check_boxes
from dbgkit.diagnose.doctor.modules import check_modules, modules_here
from dbgkit.diagnose.doctor.reach import check_reach, look_for_ways
from dbgkit.diagnose.doctor.source import MOST_GROUPS, check_source
from dbgkit.diagnose.doctor.starting import check_leavers, check_plugins
from dbgkit.diagnose.doctor.versions import check_versions
from dbgkit.diagnose.failures import report_failures
from dbgkit.errors import AnswerUnreadable
from dbgkit.model import Checkup

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import (
        Checked,
        DoctorQuestion,
        ExaminedWorker,
        Held,
        ModuleForm,
        NanniesSaid,
        Settings,
    )

NANNIES_LIMIT = 2.0  # most seconds for the nannies to answer
PROBED_AT_MOST = 64  # workers that are asked themselves
PROBE_LIMIT = 10.0  # most seconds for the workers to answer
_RANKS = {"problem": 0, "warning": 1, "ok": 2}


def examine_cluster(view: View) -> Checkup:
    """Check a cluster for debugging; each finding says what to do."""
    question: DoctorQuestion = {}
    if isinstance(view, LiveView):
        limit = min(NANNIES_LIMIT, view.link.timeout / 4)
        question = {"client": view.client.id, "limit": limit}
    facts = view.ask("doctor", question)
    notes: list[str] = []
    probes: dict[str, Checked | None]
    here: dict[str, str] | None
    ways: dict[str, bool] = {}
    modules: list[ModuleForm] = []
    if isinstance(view, LiveView):
        modules, left_out = modules_here()
        if left_out:
            notes.append(f"{left_out} further modules of yours were not compared")
        probes = _probe(view.link, facts["workers"], modules, notes)
        ways = look_for_ways(view.link, [each for each, said in probes.items() if said])
        here = _packages_here()
    else:
        probes, here = _settings_alone(facts["worker_settings"]), None
        notes.append(
            "from a dump, which lacks the client's versions, the scheduler's own "
            "settings, the history of failures, what failed frames hold, modules, and "
            "the scheduler's logs and events"
        )
    notes += _nannies_unheard(facts["nannies"])
    if facts["workers_left_out"]:
        notes.append(f"{facts['workers_left_out']} further workers were left out")
    # Of one level, what keeps jobs from running comes first.
    findings = [
        *check_leavers(facts),
        *check_answers(facts, probes, view.live),
        check_paused(facts),
        *check_plugins(facts, probes),
        check_versions(facts, here),
        *(check_modules(modules, probes) if view.live else ()),
        *check_reach(ways),
        check_nannies(facts),
        *check_logs(facts, probes),
        *check_history(facts),
        *check_failed_frames(probes, view.live),
        *check_source(report_failures(view, limit=MOST_GROUPS).groups),
        check_tracebacks(facts, probes),
        *check_settings(facts, probes),
        *check_recorder(probes),
        *check_boxes(probes),
    ]
    findings.sort(key=lambda finding: _RANKS[finding.level])
    page = page_link(view.client, facts["page"])
    return Checkup(tuple(findings), tuple(notes), page)


def _settings_alone(settings: Settings) -> dict[str, Checked | None]:
    """What a dump has in place of workers' answers."""
    nothing: Held = {"bytes": 0, "frames": 0, "functions": []}
    alone: Checked = {
        "pid": 0,
        "settings": settings,
        "hides_failures": False,
        "held": nothing,
        "recorders": [],
        "failed_plugins": [],
        "preloads": [],
        "modules": [],
    }
    return {"": alone}


def _packages_here() -> dict[str, str]:
    from distributed.versions import get_versions

    packages = get_versions()["packages"]
    return {name: str(found) for name, found in packages.items() if found}


def _nannies_unheard(said: NanniesSaid | None) -> list[str]:
    """Notes on nannies whose logs were not read."""
    if said is None:
        return []
    notes = []
    if said["silent"]:
        notes.append(f"{said['silent']} of the nannies did not answer")
    if said["left_out"]:
        notes.append(f"{said['left_out']} nannies were not asked")
    return notes


def _probe(
    link: Link,
    workers: Iterable[ExaminedWorker],
    modules: Iterable[ModuleForm],
    notes: list[str],
) -> dict[str, Checked | None]:
    """Workers' answers; None if a worker did not answer.

    Those that use the most memory come first: failed frames are the likelier there.
    """
    ordered = sorted(workers, key=lambda worker: -(worker["memory"] or 0))
    addresses = [worker["address"] for worker in ordered]
    if len(addresses) > PROBED_AT_MOST:
        notes.append(f"{len(addresses) - PROBED_AT_MOST} workers were not asked")
    if not addresses:
        return {}
    asked = addresses[:PROBED_AT_MOST]
    function = ShippedFunction("worker.doctor", "probe_worker")
    limit = min(PROBE_LIMIT, link.timeout / 2)
    wanted = {each["name"]: each["digest"] for each in modules}
    # Workers within this process have its modules.
    arguments = {
        address: ({} if address.startswith("inproc:") else wanted,) for address in asked
    }
    answers = run_on(link, function, arguments, limit)
    found: dict[str, Checked | None] = {}
    for address in asked:
        said = answers.get(address)
        if isinstance(said, AnswerUnreadable):
            notes.append(said.message)
        else:
            found[address] = None if isinstance(said, BaseException) else said
    return found
