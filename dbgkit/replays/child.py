"""The child's side of a replay in a process of its own.

Reads a task from an unnamed file, runs it, and writes back its outcome in wire form:
builtin types only. The rest (how it died) the parent finds out.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import (
        ChildCluster,
        ChildError,
        ChildResult,
        ChildTask,
    )
    from dbgkit.replays.lifeline import Lifeline
    from dbgkit.replays.standin import WorkerStandIn
    from dbgkit.source import Reader

RESULT, FAULTS = "result.json", "faults.txt"
BEGUN = "begun"


def main(folder: str, parent: str) -> None:
    """Run the task read from standard input, and leave the result in a folder."""
    with open(os.path.join(folder, FAULTS), "w") as faults:
        faulthandler.enable(faults)
        with handed() as file:
            header = json.loads(file.readline())
            sys.path[:] = header["path"]
            from dbgkit.replays.lifeline import Lifeline
            from dbgkit.source import Reader

            lifeline = Lifeline(int(parent), folder, header["timeout"])
            reader = Reader(places=header["places"])
            task = reader.load(file)
            stand_in, nodes = read_rest(task, file, reader)
        begin(folder, lifeline)
        faulthandler.dump_traceback_later(task["timeout"], file=faults)
        result = run_nodes(nodes, task, reader, stand_in)
        faulthandler.cancel_dump_traceback_later()
        leave(folder, result)


def handed() -> BinaryIO:
    """The unnamed file that the parent has passed as standard input.

    The task finds an empty one in its place.
    """
    file = os.fdopen(os.dup(0), "rb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return file


def begin(folder: str, lifeline: Lifeline) -> None:
    """Report that the call begins: its time limit counts from here."""
    # Imported now, as it may take longer than the limit allows for the call.
    import distributed  # noqa: F401

    import dbgkit.remote.values.summarize
    import dbgkit.replays.lacking  # noqa: F401

    lifeline.begin()
    with open(os.path.join(folder, BEGUN), "w"):
        pass


def leave(folder: str, result: ChildResult) -> None:
    """Write the result in one step, so that the parent never reads half of it."""
    path = os.path.join(folder, RESULT)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(f"{path}.part", path)


def read_rest(
    task: ChildTask, file: BinaryIO, reader: Reader
) -> tuple[WorkerStandIn | None, dict[Any, Any]]:
    """Inputs and run specs, read as the parent has read them.

    Those that look for a worker find the stand-in.
    """
    from dbgkit.replays.nodes import read_spec
    from dbgkit.replays.standin import reading

    stand_in = None if task["alone"] else _stand_in(task)
    with reading(stand_in):
        task["inputs"] = reader.load(file)
        specs = task["specs"]
        nodes = {key: read_spec(data, key, reader) for key, data in specs.items()}
    return stand_in, nodes


def _stand_in(task: ChildTask) -> WorkerStandIn:
    from dbgkit.remote.worker.replay_leases import within
    from dbgkit.replays.standin import WorkerStandIn

    return WorkerStandIn(
        task["key"],
        task["worker"],
        task["known"],
        lambda: connect(task["cluster"]),
        lambda event: None,
        within(task["timeout"]),
        task["max_bytes"],
    )


def run_nodes(
    nodes: Mapping[Any, Any],
    task: ChildTask,
    reader: Reader,
    stand_in: WorkerStandIn | None,
) -> ChildResult:
    """Run nodes that are read already; their result in wire form.

    A ``KeyboardInterrupt`` is a result too: at Ctrl-C the parent ends this process.
    """
    from dbgkit.remote.recording.steps import steps_of_run, steps_wire
    from dbgkit.replays.calling import call_graph, call_task
    from dbgkit.replays.standin import in_place_of_worker

    events: list[Any] = []
    inputs, hidden = task["inputs"], tuple(task["secret_names"])
    only = nodes[task["key"]] if task["scope"] == "task" else None
    surroundings = in_place_of_worker(stand_in, only, events.append)
    if only is not None:
        call = call_task(only, inputs, surroundings, through=())
        steps = []
    else:
        outputs = task["outputs"]
        call = call_graph(
            nodes, outputs, inputs, lambda event: None, surroundings, through=()
        )
        steps = steps_wire(steps_of_run(call.begun, call.exception), hidden)
    notes = [event.text for event in events]
    notes += stand_in.notes() if stand_in is not None else []
    error = call.exception
    if error is not None:
        notes += reader.notes(error.__traceback__)
    return {
        "seconds": call.seconds,
        "notes": notes,
        "exception": None if error is None else _exception(error, hidden),
        "steps": steps,
    }


def _exception(exception: BaseException, hidden: tuple[str, ...]) -> ChildError:
    from dbgkit.remote.recording.handed import handed_keys
    from dbgkit.remote.recording.raised import raised
    from dbgkit.remote.values.summarize import Budget, summarize_frames
    from dbgkit.replays.lacking import lack_in

    return {
        "raised": raised(exception),
        "lack": lack_in(exception),
        # As texts, by which the scheduler finds a tuple key too.
        "handed": [str(key) for key in handed_keys(exception)],
        # distributed.worker.apply_function lets these through, and its loop ends.
        "ends_worker": isinstance(exception, (SystemExit, KeyboardInterrupt)),
        "frames": summarize_frames(
            exception.__traceback__, budget=Budget(secret_names=hidden)
        ),
    }


def connect(cluster: ChildCluster | None) -> Any:
    """A client of the child's own, for a task that asks for one."""
    if cluster is None:
        return None
    from distributed import Client

    return Client(
        cluster["address"],
        security=cluster["security"],
        timeout=cluster["timeout"],
        set_as_default=False,
    )
