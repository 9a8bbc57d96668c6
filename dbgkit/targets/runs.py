"""Exceptions of what runs without being a task.

``client.run``, ``run_on_scheduler``, plugins as they are registered, and callbacks of
futures.
"""

from __future__ import annotations

from itertools import islice
from types import FrameType
from typing import Any

from dbgkit import advice
from dbgkit.remote.common.frames import walk
from dbgkit.targets.tracebacks import callers, live_places, place_of
from dbgkit.targets.without_task_kind import Kind


def of_run(error: BaseException) -> Kind | None:
    """``Client.run`` and ``Client.run_on_scheduler`` (distributed/client.py)."""
    frames = _client_frames(error)
    if "_run_on_scheduler" in frames:
        what = f"client.run_on_scheduler called {_function(frames, 'run_on_scheduler')}"
        where = "on the scheduler"
    elif "_run" in frames:
        what = f"client.run called {_function(frames, 'run')}"
        address = frames["_run"].f_locals.get("key")  # whose answer it handles
        where = f"on {address}" if isinstance(address, str) else "on a worker"
    else:
        return None
    return Kind(
        "run",
        error,
        f"{what} {where}, and it raised this: that is not a task, so there is "
        "nothing to replay",
        "client.submit(function, workers=[address]) makes it one; "
        f"{advice.call('debug')} enters what is left of it: its frames, without "
        "the values",
    )


_REGISTERED = {
    "_register_worker_plugin": ("a worker", "setup"),
    "_register_scheduler_plugin": ("the scheduler", "start"),
    "_register_nanny_plugin": ("a nanny", "setup"),
}


def of_plugin(error: BaseException) -> Kind | None:
    """``Client.register_plugin`` (distributed/client.py)."""
    frames = _client_frames(error)
    name = next((each for each in _REGISTERED if each in frames), None)
    if name is None:
        return None
    where, method = _REGISTERED[name]
    local = frames[name].f_locals
    plugin = local.get("plugin")
    kind = type(plugin).__name__ if plugin is not None else "the plugin"
    on = _failed_response(local) or where
    registered = getattr(plugin, "name", None) or local.get("name")
    stays = (
        f"it stays registered: client.unregister_worker_plugin({registered!r}) "
        "removes it"
        if name == "_register_worker_plugin" and isinstance(registered, str)
        else "fix it, and register it again"
    )
    return Kind(
        "plugin",
        error,
        f"{method}() of the plugin {kind} raised this on {on}, as it was registered: "
        "that is not a task, so there is nothing to replay",
        stays,
    )


def of_callback(error: BaseException) -> Kind | None:
    """``execute_callback`` in ``Future.add_done_callback`` (distributed/client.py).

    It runs in a thread of the client's.
    """
    for outermost, _ in islice(walk(error.__traceback__), 1):
        for frame in callers(outermost):
            if place_of(frame) == ("distributed", "client.py", "execute_callback"):
                key = getattr(frame.f_locals.get("fut"), "key", None)
                return Kind(
                    "callback",
                    error,
                    f"a callback of the future {key!r} raised this, here, after the "
                    "task was done: there is nothing to replay",
                    "future.add_done_callback(…) has it called; fix that function",
                )
    return None


def _client_frames(error: BaseException) -> dict[str, FrameType]:
    """Frames of this process in distributed/client.py, by function."""
    return {
        place[2]: frame
        for place, frame in live_places(error)
        if place[:2] == ("distributed", "client.py")
    }


def _function(frames: dict[str, FrameType], name: str) -> str:
    for frame in (frames.get(name), frames.get(f"_{name}")):
        function = frame.f_locals.get("function") if frame is not None else None
        if function is not None:
            from dask.utils import funcname

            return f"{funcname(function)}()"
    return "a function"


def _failed_response(local: dict[str, Any]) -> str:
    """The worker whose answer says that it failed."""
    responses = local.get("responses")
    for address, response in responses.items() if isinstance(responses, dict) else ():
        if isinstance(response, dict) and response.get("status") == "error":
            return str(address)
    return ""
