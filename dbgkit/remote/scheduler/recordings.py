"""Passes a question on to the recorder's part on this scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_recordings import RecorderAnswer, RecorderQuestion


async def ask_recorder(state: Any, question: RecorderQuestion) -> RecorderAnswer:
    """What the recorder of one version answers; ``None`` where it is off.

    Asking a scheduler for an operation that it does not have logs a warning there.

    Parameters
    ----------
    state : Scheduler or dump
    question : dict
        ``name`` of the recorder, ``verb`` and ``options``; and ``plugin``: its part
        on the scheduler, pickled, to be put there first if it is not. With
        ``remains``, other names that are its own, only if any part of it is there.
    """
    handlers = getattr(state, "handlers", {})  # a dump has none
    name, operation = question["name"], f"{question['name']}-{question['verb']}"
    plugin = question.get("plugin")
    if operation not in handlers and plugin is not None:
        remains = question.get("remains")
        if remains is None or _remains(state, {name, *remains}):
            state.plugins.pop(name, None)
            await state.register_scheduler_plugin(plugin, name=name, idempotent=True)
    handler = handlers.get(operation)
    if handler is None:
        return {"answer": None}
    return {"answer": await handler(**question["options"])}


def _remains(state: Any, names: set[str]) -> bool:
    """Whether a scheduler has any plugin of these names."""
    places = (state.plugins, state.worker_plugins, state.nanny_plugins)
    return any(names & place.keys() for place in places)
