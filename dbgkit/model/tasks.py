"""Tasks in rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable, Span
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    import pandas
    from dask.typing import Key


@dataclass(frozen=True)
class TaskRow(Jsonable):
    """One task as the scheduler has it.

    Attributes
    ----------
    key, state, prefix : Key, str, str
    workers : tuple of str
        Where it is processed, or in memory, or has failed.
    nbytes : int or None
        Size of its result, if it is in memory.
    waiting_on, dependents : int
        How many tasks it waits for, and how many depend on it.
    retries, suspicious : int
        Retries left; how many workers died that had it.
    restrictions : str
        Of workers, hosts and resources, in words; empty without any.
    since : float or None
        Seconds in its state, if the scheduler's log still has that.
    exception : str
        Text of what it raised, cut.
    blame : Key or None
        The task that it failed because of, if it did not fail by itself.
    omitted_workers : int
        How many more workers there are.
    """

    key: Key
    state: str
    prefix: str
    workers: tuple[str, ...] = ()
    nbytes: int | None = None
    waiting_on: int = 0
    dependents: int = 0
    retries: int = 0
    suspicious: int = 0
    restrictions: str = ""
    since: float | None = None
    exception: str = ""
    blame: Key | None = None
    omitted_workers: int = 0


@dataclass(frozen=True)
class TaskTable(Displayed):
    """Rows of tasks; filtered first, cut after.

    Attributes
    ----------
    rows : tuple of TaskRow
    matched : int
        How many tasks match.
    omitted : int
        How many of them are not in `rows`.
    summary : mapping of str to mapping of str to int
        Prefix -> state -> count, of all tasks.
    span : Span or None
    notes : tuple of str
    unknown : tuple of str
        Names and keys that were asked for and do not exist: ``"prefix 'load'"``.
    """

    rows: tuple[TaskRow, ...]
    matched: int
    omitted: int
    summary: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    span: Span | None = None
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    _json = "matched omitted notes unknown span summary rows"

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a `pandas.DataFrame`, one column an attribute.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        import pandas as pd

        columns = list(TaskRow.__dataclass_fields__)
        rows = [[getattr(row, name) for name in columns] for row in self.rows]
        return pd.DataFrame(rows, columns=columns)
