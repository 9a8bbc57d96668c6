"""What happened to one task, moment by moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import iso_time, plain_key
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class Moment:
    """One line of a `Timeline`.

    ``source`` is ``"scheduler"``, a worker's address, ``"event"`` or ``"log"``.
    """

    when: datetime
    source: str
    what: str
    detail: str = ""


@dataclass(frozen=True)
class Timeline(Displayed):
    """What happened to a task, in order of time.

    ``notes`` says where logs have rolled over, so that the beginning is missing.
    """

    key: Key
    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "key": plain_key(self.key),
            "notes": list(self.notes),
            "moments": [
                {**asdict(moment), "when": iso_time(moment.when)}
                for moment in self.moments
            ],
        }
