"""The smallest input that still fails the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed
from dbgkit.model.failure import Failure
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from dask.typing import Key

ShrinkVerdict = Literal["one", "some", "block", "size", "none", "any", "flaky"]


@dataclass(frozen=True)
class Provenance(Jsonable):
    """Where one part of an input came from.

    Attributes
    ----------
    text : str
        ``read_csv '/data/2000-01-07.csv', line 17``
    what, path, place : str
        As in `Origin`: ``"read_csv"``, the file, ``"line 17"`` or ``"row group 2"``.
    line : int or None
        The line of the file, counted from 1, if it has lines.
    position : int
        The part's position in its input, counted from 0.
    input : str
        The input, in words.
    """

    text: str
    what: str
    path: str
    place: str
    line: int | None
    position: int
    input: str


@dataclass(frozen=True)
class Culprit(Jsonable):
    """One part of an input that is needed for the failure.

    Attributes
    ----------
    input : str
        The input, in words: its key, a parameter, a step.
    what : str
        ``"row"``, ``"element"``, ``"key"`` or ``"line"``.
    position : int
        Counted from 0.
    label : str
        Its label in a frame's index, or a dict's key; empty without one.
    value : str
        What it holds, in a bounded text with secrets hidden.
    partition : int or None
        The input's partition, counted from 0.
    provenance : Provenance or None
        Where it came from, if that is known.
    """

    input: str
    what: str
    position: int
    label: str = ""
    value: str = ""
    partition: int | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Shrinkage(Jsonable):
    """How much of an input is left along one axis.

    ``input`` is in words; several inputs of one length are shrunk together, and so is
    their number itself, as ``what="input"``.
    """

    input: str
    what: str
    total: int
    left: int


@dataclass(frozen=True)
class Shrunk(Displayed):
    """The smallest input found; a target for every verb that takes one.

    Attributes
    ----------
    verdict : str
        ``"one"``: one part makes it fail; ``"block"``: parts next to each other do;
        ``"some"``: several do, together; ``"size"``: how many there are, and not which;
        ``"none"``: it fails with nothing in it; ``"any"``: other parts of the same
        number fail too; ``"flaky"``: the same input fails and passes.
    failure : Failure
        The task on the smallest input alone: it needs no cluster.
    original : Failure
        What was shrunk.
    culprits : tuple of Culprit
        The parts that are left; with ``all=True`` those that fail by themselves.
    inputs : mapping of Key to object
        The smallest input, by key, or by words for what is no input of the task.
    runs : int
        How often the task ran.
    rows_tested : int
        Rows, or other parts, of all inputs of all runs together.
    rows : int
        Those of the whole input.
    provenance : tuple of Provenance
        Where the culprits came from: file and line, row group, slice.
    shrinkage : tuple of Shrinkage
        What was shrunk, in order.
    minimal : bool
        Whether it is known that no single part can be left out.
    stopped : str
        Why it ended early: ``"time"``, ``"runs"``, ``"ctrl-c"``, ``"hang"`` (a part of
        the input never came to an end), ``"gone"`` (the worker died); else empty.
    where, worker : str
        Where it ran: ``"here"``, ``"process"``, or ``"worker"`` and its address.
    seconds : float
    omitted : int
        Culprits that are not listed.
    notes : tuple of str
    complete : Failure, optional
        What `save` and `to_test` take in place of ``failure``: the smallest input with
        the columns of its rows and the keys of its dicts that the failure does not
        need. Once it is mended, the function may ask for them.
    """

    verdict: ShrinkVerdict
    failure: Failure
    original: Failure
    culprits: tuple[Culprit, ...] = ()
    inputs: Mapping[Key, Any] = field(default_factory=dict, repr=False)
    runs: int = 0
    rows_tested: int = 0
    rows: int = 0
    provenance: tuple[Provenance, ...] = ()
    shrinkage: tuple[Shrinkage, ...] = ()
    minimal: bool = False
    stopped: str = ""
    where: str = "here"
    worker: str = ""
    seconds: float = 0.0
    omitted: int = 0
    notes: tuple[str, ...] = ()
    complete: Failure | None = None
    _json = (
        "verdict original culprits runs rows_tested rows provenance shrinkage minimal "
        "stopped where worker seconds omitted notes"
    )

    def __repr__(self) -> str:
        key = redact_text(repr(self.original.key))
        return f"<Shrunk of {key}: {self.verdict}, {self.runs} runs>"
