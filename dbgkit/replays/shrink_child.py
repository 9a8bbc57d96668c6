"""The child's side of a shrink in processes: it has the inputs, and forks for each run.

What it has found, and how far it is, it leaves in the folder that it shares with its
parent.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import ChildTask
    from dbgkit.remote.common.wire_shrink import Described, ShrunkForm
    from dbgkit.replays.standin import WorkerStandIn

FORM, PROGRESS, STOP = "form.pickle", "progress.json", "stop"


def main(folder: str, parent: str) -> None:
    """Shrink what is read from standard input, and leave the result in a folder."""
    from dbgkit.replays.child import handed, read_rest

    with open(os.path.join(folder, "faults.txt"), "w") as faults:
        faulthandler.enable(faults)
        with handed() as file:
            header = json.loads(file.readline())
            sys.path[:] = header["path"]
            from dbgkit.replays.lifeline import Lifeline
            from dbgkit.source import Reader

            Lifeline(int(parent), folder, header["timeout"])
            reader = Reader(places=header["places"])
            task = reader.load(file)
            stand_in, nodes = read_rest(task, file, reader)
        with open(os.path.join(folder, "begun"), "w"):
            pass
        from distributed.protocol.pickle import dumps

        inputs = task["inputs"]
        form = shrink_apart(folder, nodes, inputs, task, stand_in, dumps)
        leave(folder, FORM, pickle.dumps(form))


def shrink_apart(
    folder: str,
    nodes: Mapping[Any, Any],
    inputs: dict[Any, Any],
    task: ChildTask,
    stand_in: WorkerStandIn | None,
    dumps: Callable[[Any], bytes],
) -> ShrunkForm:
    """Shrink with each run in a fork of this process."""
    from dbgkit.remote.recording.shrink_same import describe
    from dbgkit.remote.worker.shrink_task import Ways, shrink
    from dbgkit.replays.calling import Call, call_task
    from dbgkit.replays.child import connect
    from dbgkit.replays.shrink_forks import Forks
    from dbgkit.replays.standin import in_place_of_worker

    wanted = task["shrink"]
    forks = Forks(folder, wanted["limits"]["once"], wanted["memory"])

    def call(node: Any, data: dict[Any, Any]) -> Call:
        surroundings = in_place_of_worker(stand_in, node, lambda event: None)
        return call_task(node, data, surroundings, through=())

    def run(key: Any, node: Any, data: dict[Any, Any]) -> Described | None:
        def once() -> Described | None:
            if stand_in is not None:
                stand_in.in_child(lambda: connect(task["cluster"]))
            error = call(node, data).exception
            return None if error is None else describe(error)

        return forks.run(once)

    def compute(key: Any, node: Any, data: dict[Any, Any]) -> Any:
        done = call(node, data)
        if done.exception is not None:
            raise done.exception
        return done.result

    def tell(runs: int, left: int, count: int) -> None:
        leave(folder, PROGRESS, json.dumps([left, count]).encode())

    def stop() -> str:
        return "ctrl-c" if os.path.exists(os.path.join(folder, STOP)) else ""

    return shrink(
        wanted["order"],
        nodes,
        dict(inputs),
        wanted["limits"],
        lambda key: _sources(wanted["sources"], key, nodes),
        Ways(run, compute, lambda value: value, dumps, stop, apart=True),
        tell,
    )


def _sources(known: Any, key: Any, nodes: Mapping[Any, Any]) -> Any:
    if known is not None:
        return known
    from dbgkit.replays.shrink_plan import sources_in

    return sources_in(key, nodes)


def leave(folder: str, name: str, data: bytes) -> None:
    """Write a file in one step, so that the parent never reads half of it."""
    path = os.path.join(folder, name)
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.replace(f"{path}.part", path)
