"""What a replay came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dask.typing import Key

Outcome = Literal["same", "different", "passed", "died", "timeout"]


@dataclass(frozen=True)
class Run:
    """One run of the task.

    Attributes
    ----------
    outcome : {"same", "different", "passed", "died", "timeout"}
    exception_type, message : str
        Of what it raised; empty where it raised nothing.
    detail : str
        For ``"died"`` and ``"timeout"``: exit code or signal, and the last line. For
        ``"different"``, where class and message are as before: what differs.
    seconds : float
        Wall time of the call.
    """

    outcome: Outcome
    exception_type: str = ""
    message: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """One step of a fused task that had begun when the task failed.

    Attributes
    ----------
    key : Key
        The step's own key, which is not known to the scheduler.
    name : str
        In human words.
    function : str
        Name of the function.
    inputs : mapping of Key to object
        The live values it was called with.
    failed : bool
        Whether it is the one that raised.
    arguments : tuple of (str, object)
        The same values under the names that the user's function gives them, with its
        literals; empty where the function is Dask's own. What ran in another process,
        or on a worker, has a `ValueSummary` in place of each value.
    label : str
        The function's name, or what Dask calls the step where the function is
        Dask's own.
    """

    key: Key
    name: str
    function: str
    inputs: Mapping[Key, Any] = field(repr=False)
    failed: bool = False
    label: str = ""
    arguments: tuple[tuple[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Difference:
    """One thing in which this process differs from the worker.

    ``kind`` is ``"environment"``, ``"configuration"``, ``"directory"``,
    ``"package"`` or ``"python"``; ``here`` and ``there`` are None where unset.
    """

    kind: str
    name: str
    here: str | None
    there: str | None
