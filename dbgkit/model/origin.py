"""Where the values of a task came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable
from dbgkit.remote.common.keys import as_key

if TYPE_CHECKING:
    from dask.typing import Key

    from dbgkit.remote.common.wire_recordings import OriginWords


@dataclass(frozen=True)
class Origin(Jsonable):
    """A literal that leads to a task: a file, a call, or a value; secrets hidden.

    Attributes
    ----------
    text : str
        ``read_csv '/data/2000-01-07.csv', bytes 0 to 44,161``; ``load(i=3)``;
        ``client.map, index 2``.
    what : str
        What the user called: ``"read_csv"``; may be empty of a mere value.
    path : str
        The file, with its protocol; empty if there is none.
    place : str
        Which part: ``"bytes 0 to 44,161"``, ``"row groups [0]"``, ``"[0:5, 10:20]"``.
    key : Key or None
        The task, or the step of a fused task, that has the literal.
    call : bool
        Whether it is a call whose arguments are all literals, or the failed task's
        own with some.
    """

    text: str
    what: str = ""
    path: str = ""
    place: str = ""
    key: Key | None = None
    call: bool = False
    _json = "text what path place"

    @classmethod
    def from_wire(cls, wire: OriginWords) -> Origin:
        """What ``remote.recording.origins.worded`` gives."""
        return cls(**{**wire, "key": as_key(wire.get("key"))})
