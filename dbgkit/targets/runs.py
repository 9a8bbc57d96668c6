"""Exceptions of what runs on workers and schedulers without being a task.

``client.run``, ``run_on_scheduler``, and plugins as they are registered.
"""

from __future__ import annotations

from types import FrameType
from typing import Any

from dbgkit.model import advice
from dbgkit.targets.tracebacks import live_places
from dbgkit.targets.without_task_kind import Kind


def of_run(error: BaseException) -> Kind | None:
    """``Client.run`` and ``Client.run_on_scheduler`` (distributed/client.py)."""
    frames = _client_frames(error)
    if "_run_on_scheduler" in frames:
        what = f"client.run_on_scheduler called {_function(frames, 'run_on_scheduler')}"
        where = "on the scheduler"
    elif "_run" in frames:
        what = f"client.run called {_function(frames, 'run')}"
        where = _worker_of(frames["_run"].f_locals)
    else:
        return None
    return Kind(
        "run",
        error,
        (
            f"{what} {where}, and it raised this: that is not a task, so there is "
            "nothing to replay",
            "client.submit(function, workers=[address]) makes it one; "
            f"{advice.call('debug')} enters what is left of it: its frames, without "
            "the values",
        ),
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
    address = _failed_response(local)
    on = f"on {address}" if address else f"on {where}"
    named = local.get("name")
    registered = getattr(plugin, "name", None) or named
    stays = (
        f"it stays registered: client.unregister_worker_plugin({registered!r}) "
        "removes it"
        if name == "_register_worker_plugin" and isinstance(registered, str)
        else "fix it, and register it again"
    )
    return Kind(
        "plugin",
        error,
        (
            f"{method}() of the plugin {kind} raised this {on}, as it was registered: "
            "that is not a task, so there is nothing to replay",
            stays,
        ),
    )


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


def _worker_of(local: dict[str, Any]) -> str:
    """``key`` of ``Client._run`` is the worker whose answer it handles."""
    address = local.get("key")
    return f"on {address}" if isinstance(address, str) else "on a worker"


def _failed_response(local: dict[str, Any]) -> str:
    """The worker whose answer says that it failed."""
    responses = local.get("responses")
    if isinstance(responses, dict):
        for address, response in responses.items():
            if isinstance(response, dict) and response.get("status") == "error":
                return str(address)
    return ""
