"""Is this cluster fit for debugging: what to change before the next failure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.cluster.view import LiveView, View
from dbgkit.diagnose.doctor_checks import (
    check_answers,
    check_failed_frames,
    check_history,
    check_logs,
    check_nannies,
    check_paused,
    check_recorder,
    check_settings,
    check_tracebacks,
    check_versions,
)
from dbgkit.model import Checkup

PROBED_AT_MOST = 64  # workers that are asked themselves
PROBED_AT_ONCE = 16
PROBE_LIMIT = 10.0  # most seconds for the workers to answer
_RANKS = {"problem": 0, "warning": 1, "ok": 2}


def examine_cluster(view: View) -> Checkup:
    """Check a cluster for debugging; each finding says what to do.

    Parameters
    ----------
    view : LiveView or DumpView
    """
    asking = view.client.id if isinstance(view, LiveView) else None
    facts = view.ask("doctor", {"client": asking})
    notes: list[str] = []
    probes: dict[str, dict[str, Any] | None]
    here: dict[str, str] | None
    if isinstance(view, LiveView):
        probes = _probe(view.link, facts["workers"], notes)
        here = _packages_here()
    else:
        probes, here = {"": {"settings": facts["worker_settings"]}}, None
        notes.append(
            "from a dump: the client's versions, the scheduler's own settings, the "
            "history of failures and what failed frames hold are not in it"
        )
    if facts["workers_left_out"]:
        notes.append(f"{facts['workers_left_out']} further workers were left out")
    findings = [
        check_versions(facts, here),
        *check_answers(facts, probes, view.live),
        check_paused(facts),
        check_nannies(facts),
        *check_logs(facts, probes),
        *check_history(facts),
        *check_failed_frames(probes, view.live),
        check_tracebacks(facts, probes),
        *check_settings(facts, probes),
        *check_recorder(probes),
    ]
    findings.sort(key=lambda finding: _RANKS[finding.level])
    return Checkup(tuple(findings), tuple(notes))


def _packages_here() -> dict[str, str]:
    from distributed.versions import get_versions

    packages = get_versions()["packages"]
    return {name: str(found) for name, found in packages.items() if found}


def _probe(
    link: Link, workers: Iterable[Mapping[str, Any]], notes: list[str]
) -> dict[str, dict[str, Any] | None]:
    """What workers tell of themselves; None: they did not answer.

    Those with the most memory in use first, as they are the likelier to hold on to it.
    """
    ordered = sorted(workers, key=lambda worker: -(worker["memory"] or 0))
    addresses = [worker["address"] for worker in ordered]
    if len(addresses) > PROBED_AT_MOST:
        notes.append(f"{len(addresses) - PROBED_AT_MOST} workers were not asked")
    if not addresses:
        return {}
    function = ShippedFunction("probes", "probe_worker")
    limit = min(PROBE_LIMIT, link.timeout / 2)
    gate = asyncio.Semaphore(PROBED_AT_ONCE)

    async def probe(address: str, deadline: float) -> Any:
        async with gate:
            asking = link.client.run(function, workers=[address], on_error="return")
            try:
                answers = await asyncio.wait_for(asking, deadline - monotonic())
            except (asyncio.TimeoutError, OSError, ValueError, KeyError):
                return None
        return answers.get(address)

    async def probe_all() -> list[Any]:
        deadline = monotonic() + limit
        asked = addresses[:PROBED_AT_MOST]
        return list(await asyncio.gather(*(probe(each, deadline) for each in asked)))

    answers = link.call(probe_all, what="the workers' answers", limit=limit + 5)
    return {
        address: answer if isinstance(answer, dict) else None
        for address, answer in zip(addresses, answers, strict=False)
    }
