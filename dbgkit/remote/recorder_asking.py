"""A question that is passed on to the recorder's part on this scheduler."""

from __future__ import annotations

from typing import Any


async def ask_recorder(state: Any, question: dict[str, Any]) -> dict[str, Any]:
    """What the recorder of one version answers; ``None`` where it is off.

    Asking a scheduler for an operation that it does not have logs a warning there.
    """
    handlers = getattr(state, "handlers", {})  # a dump has none
    handler = handlers.get(f"{question['name']}-{question['verb']}")
    if handler is None:
        return {"answer": None}
    return {"answer": await handler(**question["options"])}
