"""Which worker runs a task again, and what that needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.link import Link
from dbgkit.cluster.replay import look_at_workers
from dbgkit.cluster.workers import addresses_of
from dbgkit.errors import NotHere, WouldKill
from dbgkit.model import Failure, Plan
from dbgkit.replays.collectives import refuse_collective
from dbgkit.replays.material import Material, Row, needed
from dbgkit.replays.planning import (
    RUNS_AGAIN,
    Wanted,
    input_info,
    refuse_lost,
    refuse_recompute,
    refuse_size,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import Look, ReplayAnswer

MOST_ASKED = 8  # workers that are asked whether they could run it


def plan_on_worker(failure: Failure, material: Material, wanted: Wanted) -> Plan:
    """The plan of a replay on a worker, or the error that says why there is none.

    Costs one call to each of the candidate workers.
    """
    _refuse(failure, material)
    order = in_order(material)
    taken = material.inputs_of(order)
    refuse_lost(material, [*order, *taken])
    _refuse_p2p(failure, material, order)
    refuse_collective(failure, material, order)
    refuse_recompute(failure, len(order) - 1, wanted)
    chosen, held = _choose(failure, material, order[-1], taken)
    hows = {**dict.fromkeys(order, "run"), **dict.fromkeys(held, "have")}
    shown = dict.fromkeys([*material.rows[order[-1]].dependencies, *taken])
    fetched = [key for key in taken if key not in held]
    return Plan(
        key=failure.key,
        name=failure.name,
        scope="ancestors" if material.key is None else wanted.scope,
        where="worker",
        inputs=tuple(input_info(material, key, hows.get(key, "pull")) for key in shown),
        pull_bytes=refuse_size(failure, material, fetched, wanted),
        run_here=tuple(order),
        times=wanted.times,
        warnings=tuple(_warnings(failure, material, order, chosen)),
        worker=chosen,
    )


def in_order(material: Material) -> list[Any]:
    """Keys that run, in topological order: dependencies first, the last root last."""
    left = set(needed(material, material.roots))
    ordered: list[Any] = []
    for root in material.roots:
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            key, ready = stack.pop()
            if ready:
                ordered.append(key)
            elif key in left:
                left.discard(key)
                stack.append((key, True))
                stack += [(name, False) for name in material.rows[key].dependencies]
    return ordered


def _refuse(failure: Failure, material: Material) -> None:
    if failure.killed:
        raise WouldKill(
            f"{failure.key!r} killed the worker that it ran on, so it is not run on "
            "another",
            f"{advice.option('where', 'process')} runs it in a child of this process",
            key=failure.key,
        )
    if material.link is None:
        raise NotHere(
            f"there is no cluster left to run {failure.key!r} on",
            f"{advice.option('where', 'here')} or "
            f"{advice.option('where', 'process')} needs none",
            key=failure.key,
        )


def _refuse_p2p(failure: Failure, material: Material, order: list[Any]) -> None:
    """A P2P shuffle knows its tasks by their keys, and changes with each run."""
    if any(material.rows[key].takes_part_in_p2p for key in order):
        raise NotHere(
            f"{failure.key!r}, or one of its inputs that is not in memory, is part of "
            "a P2P shuffle, which cannot run again inside a worker",
            f"{advice.option('where', 'here')} runs what can run outside of the "
            "shuffle",
            key=failure.key,
        )


def _choose(
    failure: Failure, material: Material, target: Any, taken: list[Any]
) -> tuple[str, set[Any]]:
    """The worker, and the inputs that it holds.

    Most bytes in memory first, then the one that it failed on; if the task is
    restricted, workers where it may run come first. Others are asked if none of these
    is running and has enough memory.
    """
    link = material.link
    assert link is not None
    row = material.rows[target]
    bytes_on: Counter[str] = Counter()
    for key in taken:
        for address in material.rows[key].who_has:
            bytes_on[address] += material.rows[key].nbytes or 1
    known = set(bytes_on)
    if failure.worker is not None and failure.worker in material.workers:
        known.add(failure.worker)
    if not known or not any(_may_run(row, failure, each) for each in known):
        known |= set(addresses_of(link))

    def best_first(addresses: Iterable[str]) -> list[str]:
        return sorted(
            addresses,
            key=lambda address: (
                not _may_run(row, failure, address),
                -bytes_on[address],
                address != failure.worker,
                address,
            ),
        )[:MOST_ASKED]

    stored = {key: material.stored_as(key) for key in taken}
    size = material.nbytes(taken)
    asked = best_first(known)
    answers = _ask(failure, link, asked, stored)
    chosen = _first_with_memory(asked, answers, size)
    if chosen is None:
        others = best_first(set(addresses_of(link)) - known)
        answers.update(_ask(failure, link, others, stored))
        asked += others
        chosen = _first_with_memory(others, answers, size)
    if chosen is None:
        running = [each for each in asked if _is_running(answers.get(each))]
        if not running:
            raise NotHere(
                _nobody(failure, asked, answers), _elsewhere(), key=failure.key
            )
        raise not_enough_memory(failure, running[0], size, answers[running[0]])
    held = set(answers[chosen]["held"])
    return chosen, {key for key, name in stored.items() if name in held}


def _ask(
    failure: Failure, link: Link, addresses: Sequence[str], stored: Mapping[Any, Any]
) -> dict[str, Look]:
    """What workers report about themselves; raises if an input is an actor."""
    answers = look_at_workers(link, addresses, set(stored.values()))
    for key, name in stored.items():
        if any(name in answer["actors"] for answer in answers.values()):
            raise NotHere(
                f"input {key!r} of {failure.key!r} is an actor, which the task could "
                "change",
                f"{advice.option('where', 'here')} replays it with a handle of the "
                "actor",
                key=failure.key,
            )
    return answers


def _is_running(answer: Look | None) -> bool:
    return answer is not None and answer["status"] == "running"


def _first_with_memory(
    addresses: Iterable[str], answers: Mapping[str, Look], size: int
) -> str | None:
    for address in addresses:
        answer = answers.get(address)
        if answer and _is_running(answer) and size <= answer["free"]:
            return address
    return None


def _elsewhere() -> str:
    here, process = advice.option("where", "here"), advice.option("where", "process")
    return f"{here} or {process} brings the inputs here"


def not_enough_memory(
    failure: Failure, address: str, size: int, answer: Look | ReplayAnswer
) -> NotHere:
    """The error for a worker that lacks memory for copies of the inputs."""
    from dask.utils import format_bytes

    return NotHere(
        f"memory is short on {address}: a copy of the inputs of {failure.key!r} takes "
        f"{format_bytes(size)}, and {answer['limit']} leaves "
        f"{format_bytes(answer['free'])}",
        _elsewhere(),
        key=failure.key,
    )


def _nobody(failure: Failure, asked: list[str], answers: Mapping[str, Look]) -> str:
    if not asked:
        return f"there is no worker to run {failure.key!r} on"
    states = []
    for address in asked[:3]:
        answer = answers.get(address)
        how = f"is {answer['status']}" if answer else "does not answer"
        states.append(f"{address} {how}")
    return (
        f"none of the workers that could run {failure.key!r} is running: "
        f"{', '.join(states)}"
    )


def _may_run(row: Row, failure: Failure, address: str) -> bool:
    """Whether a worker is among those that a task is restricted to."""
    limits = row.restrictions
    workers, hosts = limits.get("workers") or (), limits.get("hosts") or ()
    if address == failure.worker or limits.get("loose"):
        return True
    if limits.get("resources"):
        return False  # which worker has them is not known here
    host = address.partition("://")[2].rpartition(":")[0]
    return not (workers or hosts) or address in workers or host in hosts


def _warnings(
    failure: Failure, material: Material, order: list[Any], chosen: str
) -> Iterable[str]:
    yield RUNS_AGAIN
    yield (
        "it runs inside that worker: if it takes the worker down, what is in its "
        "memory is lost, and other tasks there start again"
    )
    if not _may_run(material.rows[order[-1]], failure, chosen):
        yield (
            f"the task is restricted to other workers than {chosen}, none of which is "
            "known here to be running"
        )
