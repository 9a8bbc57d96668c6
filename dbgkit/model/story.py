"""What happened to one task, moment by moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dbgkit.model.base import FoundIn, Jsonable
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class Moment(FoundIn, Jsonable):
    """One line of a `Timeline`.

    ``found_in`` is ``"scheduler"``, a worker's address, ``"event"`` or ``"log"``.
    """

    when: datetime
    found_in: str
    what: str
    detail: str = ""
    _json = "when source=found_in what detail"


@dataclass(frozen=True)
class Timeline(Displayed):
    """What happened to a task, in order of time.

    ``notes`` says where logs have rolled over, so the beginning is missing.
    """

    key: Key
    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()
    _json = "key notes moments"
