"""What a worker says in a session is to have: nobody vouches for a worker."""

from __future__ import annotations

from typing import Any

from dbgkit.cluster.shapes import fits
from dbgkit.remote.common.wire import Count, Moment
from dbgkit.remote.common.wire_live import PlaceForm, StopForm

# By what a message is, its fields.
_FORMS: dict[str, dict[str, Any]] = {
    "output": {"text": str},
    "prompt": {"prompt": str, "answered": Count},
    "input": {"prompt": str},
    "here": {"stop": StopForm},
    "sources": {"codes": list[PlaceForm]},
    "completions": {"number": Count, "found": list[Any]},
    "unable": {"why": str, "hint": str},
    "dap": {"data": bytes},
    "ended": {"how": str, "until": Moment},
}


def is_sound(message: Any) -> bool:
    """Whether a message has what its kind has to have."""
    if not (isinstance(message, dict) and isinstance(message.get("op"), str)):
        return False
    form = _FORMS.get(message["op"], {})
    return all(fits(kind, message.get(name)) for name, kind in form.items())
