"""Why a task that ``peek`` was asked for does not run, and which verb says more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.diagnose.sentences import show
from dbgkit.errors import NotRunning
from dbgkit.targets.refusals import ask_why

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_peek import PlacedTask


def not_running(task: PlacedTask, here: Mapping[Any, str], count: int) -> NotRunning:
    """Why a task does not run, and which verb says more."""
    key, state, worker = task["key"], task["state"], task["worker"]
    words = {
        "memory": "it has finished",
        "erred": "it has failed",
        "waiting": "it waits for other tasks",
        "queued": "it is queued on the scheduler until a thread is free",
        "no-worker": "no worker can run it",
        "released": "it was released",
        "processing": f"its worker, {worker}, does not run it yet, or any more",
    }
    there = {
        "waiting": "waits there for its inputs",
        "ready": "waits there for a thread",
        "constrained": "waits there for resources",
    }
    why = words.get(state, f"its state is {state!r}")
    if state == "processing" and here.get(key) in there:
        why = f"it is on {worker}, and {there[here[key]]}"
    if task["actor"] and state == "memory":
        why = "it is an actor, and runs no method in a thread of its worker now"
    hint = ask_why(key)
    if state == "erred":
        hint = f"{advice.call('debug', key)} opens it where it failed"
    elif state == "memory":
        hint = f"{advice.call('story', key)} says what happened to it"
        if task["actor"]:
            hint = "async methods of actors run in the event loop, and are not seen"
    others = f"; neither do {count - 1} others" if count > 1 else ""
    message = f"{show(key)} does not run: {why}{others}"
    return NotRunning(message, hint, key=key, state=state)
