"""The child's side of a replay in a process of its own.

Reads a task from a folder, runs it, and writes back what it came to in wire form:
builtin types only. Everything else (how it died) is the parent's to find out.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import sys
from collections.abc import Mapping
from typing import Any

TASK, RESULT, FAULTS = "task.pickle", "result.json", "faults.txt"
BEGUN = "begun"


def main(folder: str) -> None:
    """Run the task of a folder, and leave the result there."""
    with open(os.path.join(folder, FAULTS), "w") as faults:
        faulthandler.enable(faults)
        with open(os.path.join(folder, TASK), "rb") as file:
            header = json.loads(file.readline())
            sys.path[:] = header["path"]
            task = pickle.load(file)
        nodes = read_nodes(task)
        begin(folder)
        faulthandler.dump_traceback_later(task["timeout"], file=faults)
        result = run_nodes(nodes, task)
        faulthandler.cancel_dump_traceback_later()
        leave(folder, result)


def begin(folder: str) -> None:
    """Say that the call begins: its time limit counts from here."""
    # Imported now, as it may take longer than the limit allows for the call.
    import distributed  # noqa: F401

    with open(os.path.join(folder, BEGUN), "w"):
        pass


def leave(folder: str, result: Mapping[str, Any]) -> None:
    """Write the result in one step, so that the parent never reads half of it."""
    path = os.path.join(folder, RESULT)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(f"{path}.part", path)


def read_nodes(task: Mapping[str, Any]) -> dict[Any, Any]:
    """The task's run specs, read in this process."""
    from dbgkit.replay.nodes import read_spec

    return {key: read_spec(data, key) for key, data in task["specs"].items()}


def run_nodes(nodes: Mapping[Any, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Run nodes that are read already; their result in wire form."""
    from dbgkit.replay.calling import call_graph, call_task
    from dbgkit.replay.surroundings import WorkerStandIn, in_place_of_worker

    said: list[str] = []
    stand_in = WorkerStandIn(
        task["key"],
        task["worker"],
        task["known"],
        lambda: _connect(task["cluster"]),
        lambda event: said.append(getattr(event, "text", "")),
    )
    surroundings = in_place_of_worker(stand_in)
    if task["scope"] == "task":
        call = call_task(nodes[task["key"]], task["inputs"], surroundings)
    else:
        call = call_graph(
            nodes, task["outputs"], task["inputs"], lambda event: None, surroundings
        )
    result = {
        "seconds": call.seconds,
        "notes": [text for text in said if text],
        "lacked": stand_in.lacked,
        "exception": None,
    }
    if call.exception is not None:
        result["exception"] = _exception(call.exception)
    return result


def _exception(exception: BaseException) -> dict[str, Any]:
    from dbgkit.remote.frames import format_exception, own_line
    from dbgkit.remote.summarize import summarize_frames
    from dbgkit.remote.texts import safe_repr, safe_str
    from dbgkit.replay.outcome import broken_repr

    return {
        "type": type(exception).__name__,
        "message": safe_str(exception),
        "text": safe_repr(exception),
        "place": own_line(exception),
        "broken_repr": broken_repr(exception),
        # distributed.worker.apply_function lets these through, and its loop ends.
        "ends_worker": isinstance(exception, (SystemExit, KeyboardInterrupt)),
        "traceback_text": format_exception(exception),
        "frames": summarize_frames(exception.__traceback__),
    }


def _connect(cluster: Mapping[str, Any] | None) -> Any:
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
