"""What happened to one task, moment by moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import FoundIn, iso_time, plain_key
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class Moment(FoundIn):
    """One line of a `Timeline`.

    ``found_in`` is ``"scheduler"``, a worker's address, ``"event"`` or ``"log"``.
    """

    when: datetime
    found_in: str
    what: str
    detail: str = ""


@dataclass(frozen=True)
class Timeline(Displayed):
    """What happened to a task, in order of time.

    ``notes`` says where logs have rolled over, so the beginning is missing.
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
                {
                    "when": iso_time(moment.when),
                    "source": moment.found_in,
                    "what": moment.what,
                    "detail": moment.detail,
                }
                for moment in self.moments
            ],
        }
