"""The part of a P2P shuffle that can run outside it: how one partition goes in.

A shuffle's tasks ask the plugin of the worker that they run on. In a replay that
plugin is `_Plugin`, which does with one partition what the worker's does before
anything is sent: checks it, splits it, and turns the parts into what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dbgkit.errors import NotHere
from dbgkit.model import Failure
from dbgkit.remote.common.calls import steps_of
from dbgkit.replays.collectives import Alone
from dbgkit.replays.material import Material, Row
from dbgkit.replays.nodes import is_p2p, with_function
from dbgkit.replays.standin import reading
from dbgkit.targets.led import cause_in_shuffle

_TASKS = (
    "dask.config.set({'dataframe.shuffle.method': 'tasks', "
    "'array.rechunk.method': 'tasks'}) computes it without P2P, and its failure can "
    "be replayed"
)


def goes_in(node: Any) -> bool:
    """Whether a node only puts something into a P2P shuffle."""
    steps = steps_of(node)
    if steps:
        parts = [step for step in steps.values() if is_p2p(step)]
        return bool(parts) and all(goes_in(step) for step in parts)
    function = getattr(node, "func", None)
    return is_p2p(node) and getattr(function, "__name__", "").endswith("_transfer")


def put_in_reach(failure: Failure, material: Material, run: Iterable[Any]) -> bool:
    """Have a failed task that is part of a P2P shuffle run outside it, if possible.

    Returns whether it is part of one. Raises if it takes from the shuffle, or another
    task that would have to run here is part of one.
    """
    for key in run:
        if key != material.key and material.rows[key].takes_part_in_p2p:
            why = "which runs only on workers: nothing that leads to it is run here"
            raise _refused(failure, f"needs {key!r}, part of a P2P shuffle, {why}")
    row = material.rows.get(material.key)
    if failure.shuffle in ("barrier", "unpack"):
        where = f"failed in the {failure.shuffle} phase of a P2P shuffle"
        why = "whose data is gone, so it cannot run again"
        raise _refused(failure, f"{where}, {why}")
    if row is None or not row.takes_part_in_p2p or not is_p2p(node := row.read()):
        return False
    specs = _specs(material.rows.values()) if goes_in(node) else {}
    if not specs:
        raise _refused(failure, "is part of a P2P shuffle, and cannot run outside it")
    row.replace(with_function(node, IntoShuffle(node.func, specs)))
    return True


def _specs(rows: Iterable[Row]) -> dict[str, Any]:
    """Specifications of shuffles, which their barriers have, by the shuffle's id.

    ``distributed.shuffle._core.P2PBarrierTask``.
    """
    nodes = [
        row.read()
        for row in rows
        if str(row.key).startswith("shuffle-barrier-") and row.takes_part_in_p2p
    ]
    return {node.spec.id: node.spec for node in nodes if hasattr(node, "spec")}


def own_function(function: Any) -> Any:
    """A task's function, out of what `put_in_reach` has made of it."""
    return function.function if isinstance(function, (IntoShuffle, Alone)) else function


class IntoShuffle:
    """A task's function, with what it asks of the shuffle that it puts a partition in.

    ``specs`` are by the id of the shuffle. Raises what the user can fix, if the
    function names only the shuffle's phase.
    """

    def __init__(self, function: Callable[..., Any], specs: Mapping[str, Any]) -> None:
        self.function = function
        self.specs = dict(specs)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__module__ = getattr(function, "__module__", "")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from distributed import get_worker

        worker = _WithPlugin(get_worker(), {"shuffle": _Plugin(self.specs)})
        with reading(worker):
            try:
                return self.function(*args, **kwargs)
            except RuntimeError as error:
                raised = cause_in_shuffle(error) or error
        # Raised out here, so that Dask's own exception is not its context.
        raise raised


class _WithPlugin:
    """Another worker, with other plugins."""

    def __init__(self, worker: Any, plugins: Mapping[str, Any]) -> None:
        self._worker = worker
        self.plugins = plugins

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)


class _Plugin:
    """Stands in for a worker's plugin for P2P shuffles."""

    def __init__(self, specs: Mapping[str, Any]) -> None:
        self._specs = specs

    def add_partition(self, data: Any, partition_id: Any, id: str) -> int:
        """As ``ShuffleRun.add_partition``, but sends nothing."""
        run = bare_run(self._specs[id])
        run.validate_data(data)
        shards = run._shard_partition(data, partition_id)
        receive(run, shards)
        return 0


def bare_run(spec: Any) -> Any:
    """A run of a shuffle that is connected to nothing; raises for an unknown kind.

    ``DataFrameShuffleRun`` (distributed/shuffle/_shuffle.py) and ``ArrayRechunkRun``
    (_rechunk.py) with what ``validate_data`` and ``_shard_partition`` read.
    """
    from distributed.shuffle._rechunk import ArrayRechunkRun, ArrayRechunkSpec
    from distributed.shuffle._rechunk import split_axes as axes_of
    from distributed.shuffle._shuffle import DataFrameShuffleRun, DataFrameShuffleSpec

    here = dict.fromkeys(spec.output_partitions, "here")
    run: Any
    if isinstance(spec, DataFrameShuffleSpec):
        import pandas as pd

        run = object.__new__(DataFrameShuffleRun)
        run.column, run.meta = spec.column, spec.meta
        run.drop_column = spec.drop_column
        run.worker_for = pd.Series(here, name="_workers").astype("category")
    elif isinstance(spec, ArrayRechunkSpec):
        run = object.__new__(ArrayRechunkRun)
        run.split_axes = axes_of(spec.old, spec.new)
        run.worker_for = here
    else:
        raise NotHere(f"how {type(spec).__name__} shuffles is not known here", _TASKS)
    return run


def receive(run: Any, shards: Mapping[str, Any]) -> None:
    """What workers make of a partition's parts: tables again, of the right types.

    ``DataFrameShuffleRun._repartition_buffers`` and ``convert_shards``; an array's
    parts are left as they are.
    """
    from distributed.shuffle._shuffle import DataFrameShuffleRun, convert_shards

    if not isinstance(run, DataFrameShuffleRun) or not shards:
        return
    groups = run._repartition_buffers(list(shards.values()))
    for buffer in groups.values():
        tables = [run.deserialize(buffer)]
        convert_shards(tables, run.meta, run.column, run.drop_column)


def _refused(failure: Failure, why: str) -> NotHere:
    """The error for a task that cannot run outside its shuffle."""
    failed = f"{failure.exception_type}: {failure.message[:200]}"
    return NotHere(f"{failure.key!r} {why} ({failed})", _TASKS, key=failure.key)
