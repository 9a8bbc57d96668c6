"""What a replay will do, before it does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbgkit import advice
from dbgkit.cluster.connection import RESUBMIT
from dbgkit.errors import InputLost, InputsTooLarge, RecomputeRefused, WouldKill
from dbgkit.model import Failure, InputInfo, Plan
from dbgkit.replays.collectives import ALONE, run_alone
from dbgkit.replays.collectives_lightgbm import train_alone
from dbgkit.replays.material import Material, needed
from dbgkit.replays.nodes import is_p2p
from dbgkit.replays.shuffles import put_in_reach
from dbgkit.targets.naming import name_of
from dbgkit.targets.refusals import to_debug_in_time


@dataclass(frozen=True)
class Wanted:
    """The options of a replay, parsed."""

    scope: Any = "task"
    where: Any = None
    times: int = 1
    recompute: bool | None = None
    timeout: float = 30.0
    max_bytes: int = 2**30
    sources: tuple[str, ...] = ()


RUNS_AGAIN = "the task runs again: what it writes or sends is written or sent again"


def make_plan(failure: Failure, material: Material, wanted: Wanted) -> Plan:
    """The plan, or the error that says why there is none; nothing is pulled yet.

    For ``where="worker"`` see `on_worker_plan.plan_on_worker`.
    """
    where = where_to_run(failure, wanted)
    scope: Any = "ancestors" if material.key is None else wanted.scope
    warnings = [RUNS_AGAIN]
    direct = () if material.key is None else material.rows[material.key].dependencies
    if scope == "task" and material.link is None and needed(material, direct):
        scope, never = "ancestors", failure.found_in == "local"
        why = "there is no cluster" if never else "no cluster is left"
        warnings.append(f"{why}: the tasks that lead to it run here")
    parts = train_alone(material)
    pull, recompute, run = _sort(material, scope)
    if put_in_reach(failure, material, run):
        warnings.append(
            "only the part of the P2P shuffle that handles one partition runs: the "
            "partition is checked, split and converted, and nothing is sent"
        )
    if run_alone(material, run) or not parts.isdisjoint(run):
        warnings.append(ALONE)
    refuse_lost(material, [*pull, *recompute, *run])
    own_keys = _own_keys(material, recompute)
    if own_keys:
        warnings.append(
            "inputs come out of a P2P shuffle: it is computed again under its own "
            "keys, so their states change while it runs"
        )
    if scope == "ancestors" and len(run) > 1:
        warnings.append(f"{len(run)} tasks run here, under the synchronous scheduler")
    size = refuse_size(failure, material, pull, wanted)
    refuse_recompute(failure, len(recompute), wanted)
    return Plan(
        key=failure.key,
        name=failure.name,
        scope=scope,
        where=where,
        inputs=_inputs(material, pull, recompute, run),
        pull_bytes=size,
        recompute=tuple(recompute),
        own_keys=tuple(own_keys),
        run_here=tuple(run),
        times=wanted.times,
        warnings=tuple(warnings),
    )


def where_to_run(failure: Failure, wanted: Wanted) -> Any:
    """Here or in a process of its own, as requested or as is best."""
    if failure.killed and wanted.where == "here":
        raise WouldKill(
            f"{failure.key!r} killed the worker that it ran on, so it is not run in "
            "this process",
            f"{advice.option('where', 'process')} runs it in a child",
            key=failure.key,
        )
    apart = failure.killed or failure.found_in == "file"  # it is somebody else's
    return wanted.where or ("process" if apart else "here")


def _sort(material: Material, scope: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Keys to pull, to compute again on the cluster, and to run here."""
    if scope == "task":
        direct = material.rows[material.key].dependencies
        recompute = needed(material, direct)
        rows = {
            key: material.rows.get(key) for key in direct if key not in material.have
        }
        pull = [key for key, row in rows.items() if row is not None and row.held]
        return pull, recompute, [material.key]
    run = needed(material, material.roots)
    pull = [key for key in material.inputs_of(run) if key not in material.have]
    # The failed task last, as it is the one that all others lead to.
    if material.key is not None:
        run = [key for key in run if key != material.key] + [material.key]
    return pull, [], run


def refuse_lost(material: Material, keys: list[Any]) -> None:
    """Raise if one of some keys is available nowhere."""
    for key in keys:
        row = material.rows.get(key)
        if row is None or (row.lost and not row.held):
            if material.link is None:
                raise InputLost(
                    f"input {key!r} was lost with its cluster, which was closed "
                    "before the failure was debugged",
                    to_debug_in_time(),
                    key=key,
                )
            if material.restarted:
                raise InputLost(
                    f"input {key!r} was lost with the scheduler, which was restarted "
                    f"after {material.key!r} was located",
                    RESUBMIT,
                    key=key,
                )
            raise InputLost(
                f"input {key!r} is lost permanently: it is on no worker, and nothing "
                "can compute it again (scattered data, or a future's only copy)",
                "scatter it again, and submit the task again",
                key=key,
            )


def _own_keys(material: Material, recompute: list[Any]) -> list[Any]:
    """Keys that can be computed again only under their own names."""
    of_p2p = any(is_p2p(material.rows[key].read()) for key in recompute)
    return recompute if of_p2p else []


def _inputs(
    material: Material, pull: list[Any], recompute: list[Any], run: list[Any]
) -> tuple[InputInfo, ...]:
    direct = (
        material.rows[material.key].dependencies if material.key is not None else ()
    )
    hows = {
        **dict.fromkeys(run, "run"),
        **dict.fromkeys(recompute, "recompute"),
        **dict.fromkeys(material.have, "have"),
    }
    shown = dict.fromkeys([*direct, *pull])
    return tuple(input_info(material, key, hows.get(key, "pull")) for key in shown)


def input_info(material: Material, key: Any, how: Any) -> InputInfo:
    """An input as a plan shows it."""
    row = material.rows.get(key)
    return InputInfo(
        key=key,
        name=name_of(key, row.group_size if row else None),
        nbytes=row.nbytes if row and row.held else None,
        type=row.type if row else type(material.have.get(key)).__name__,
        how=how,
    )


def refuse_recompute(failure: Failure, count: int, wanted: Wanted) -> None:
    """Raise if tasks would have to be computed again, and that is not wanted."""
    if count and wanted.recompute is False:
        raise RecomputeRefused(
            f"{count} tasks would have to be computed again for the inputs of "
            f"{failure.key!r}",
            f"leave {advice.option('recompute', False)} out, or hold the inputs "
            "with persist()",
            key=failure.key,
        )


def refuse_size(
    failure: Failure, material: Material, pull: list[Any], wanted: Wanted
) -> int:
    """The bytes of inputs that are to be pulled; raises if they are over the limit."""
    from dask.utils import format_bytes

    size = material.nbytes(pull)
    if size <= wanted.max_bytes:
        return size
    largest = max(pull, key=lambda key: material.rows[key].nbytes or 0)
    raise InputsTooLarge(
        f"inputs of {failure.key!r} are {format_bytes(size)}, over the limit of "
        f"{format_bytes(wanted.max_bytes)}; the largest is {largest!r} "
        f"({format_bytes(material.rows[largest].nbytes or 0)})",
        f"raise {advice.option('max_bytes')} to pull them",
        key=failure.key,
    )
