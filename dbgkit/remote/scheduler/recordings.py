"""Passes a question on to the recorder's part on this scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_recordings import RecorderAnswer, RecorderQuestion


async def ask_recorder(state: Any, question: RecorderQuestion) -> RecorderAnswer:
    """What the recorder of one version answers; ``None`` where it is off.

    Asking a scheduler for an operation that it does not have would log a warning there.
    A ``plugin``, the recorder's part on the scheduler, pickled, is put there first if
    it is missing; with ``remains``, other names of its own, only if any part is there.
    """
    handlers = getattr(state, "handlers", {})  # a dump has none
    name, operation = question["name"], f"{question['name']}-{question['verb']}"
    plugin = question.get("plugin")
    if operation not in handlers and plugin is not None:
        remains = question.get("remains")
        places = (state.plugins, state.worker_plugins, state.nanny_plugins)
        if remains is None or any({name, *remains} & part.keys() for part in places):
            state.plugins.pop(name, None)
            await state.register_scheduler_plugin(plugin, name=name, idempotent=True)
    handler = handlers.get(operation)
    if handler is None:
        return {"answer": None}
    return {"answer": await handler(**question["options"])}
