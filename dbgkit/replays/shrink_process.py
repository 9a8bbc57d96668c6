"""Shrinks in processes of their own: what kills or hangs ends one run, not the rest."""

from __future__ import annotations

import json
import pickle
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.shapes import fits
from dbgkit.errors import DbgkitError, InputNotCopyable, WaitTimedOut
from dbgkit.model import Progress
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.texts import safe_str
from dbgkit.remote.common.wire_shrink import ShrunkForm
from dbgkit.replays.child import BEGUN
from dbgkit.replays.children import Spawned, shared_folder
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.process import child_cluster, describe_exit, memory_limit
from dbgkit.replays.shrink_child import FORM, PROGRESS, STOP, shrink_apart
from dbgkit.replays.shrink_forks import refuse_without_forks
from dbgkit.replays.shrink_here import keys_to_run
from dbgkit.replays.shrink_plan import NO_LIMIT, ShrinkWanted, sources_of
from dbgkit.replays.standin import reading

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import ChildTask

_LOOK = 0.05  # seconds between two looks at the child
_START = 60.0  # seconds for it to import what the task needs
_SLACK = 15.0  # seconds, besides one run, for it to come to its end


def shrink_in_child(
    prepared: Prepared, wanted: ShrinkWanted, notify: Notify
) -> tuple[ShrunkForm, Any]:
    """Run the task in forks of a child, which has the inputs.

    Inputs that cannot be pickled stay here, and the forks are of this process: the
    smallest input comes as it is then.
    """
    refuse_without_forks()
    order = keys_to_run(prepared)
    task = _task(prepared, wanted, order)
    with shared_folder() as folder:
        try:
            rows = prepared.material.rows
            specs = {key: rows[key].written() for key in order}
            child = Spawned(
                folder, {**task, "specs": specs}, prepared.inputs, "shrink_child"
            )
        except InputNotCopyable:
            return _in_forks_of_this(folder, prepared, order, task)
        try:
            return _Watch(folder, child, prepared, wanted, notify).until(), None
        finally:
            child.stop()


def _in_forks_of_this(
    folder: Path, prepared: Prepared, order: list[Any], task: ChildTask
) -> tuple[ShrunkForm, Any]:
    kept: list[Any] = []

    def keep(values: Any) -> bytes:
        kept.append(values)
        return b""

    rows = prepared.material.rows
    with reading(prepared.stand_in):
        nodes = {
            key: rows[key].read() if rows[key].node is None else rows[key].node
            for key in order
        }
    inputs, stand_in = prepared.inputs.values, prepared.stand_in
    form = shrink_apart(str(folder), nodes, inputs, task, stand_in, keep)
    return form, kept[-1] if kept else None


def _task(prepared: Prepared, wanted: ShrinkWanted, order: list[Any]) -> ChildTask:
    failure, material = prepared.failure, prepared.material
    timeout = prepared.wanted.timeout
    known = dict(material.worker_of(failure))
    sources = sources_of(failure, failure.key, {}) if failure.came_from else None
    return {
        "key": material.key,
        "scope": prepared.plan.scope,
        "outputs": list(material.roots),
        "inputs": None,  # they come apart
        "timeout": timeout,
        "max_bytes": prepared.wanted.max_bytes,
        "worker": failure.worker or "",
        "known": known,
        "secret_names": secret_names(),
        "cluster": child_cluster(material, timeout),
        "alone": prepared.stand_in is None,
        "shrink": {
            "order": order,
            "limits": wanted.limits(timeout, NO_LIMIT),
            "sources": sources,
            "memory": memory_limit(known)[0],
        },
    }


class _Watch:
    """Waits for the child; Ctrl-C has it end, with the best so far."""

    def __init__(
        self,
        folder: Path,
        child: Spawned,
        prepared: Prepared,
        wanted: ShrinkWanted,
        notify: Notify,
    ) -> None:
        self.folder, self.child, self.prepared = folder, child, prepared
        self.notify = notify
        self.seconds = wanted.seconds + prepared.wanted.timeout + _SLACK
        self.told = ""

    def until(self) -> ShrunkForm:
        end, begun, stopped = time.monotonic() + _START, False, False
        while self.child.poll() is None:
            try:
                if not begun and (self.folder / BEGUN).exists():
                    begun, end = True, time.monotonic() + self.seconds
                if time.monotonic() > end:
                    raise WaitTimedOut(
                        f"the process that shrinks the input of {self._key!r} did not "
                        "come to an end",
                        f"raise {advice.option('time')}, or lower "
                        f"{advice.option('timeout')}, which bounds each run",
                        key=self._key,
                    )
                self._tell()
                time.sleep(_LOOK)
            except KeyboardInterrupt:
                if stopped or not begun:
                    raise
                stopped = True
                (self.folder / STOP).touch()
        path = self.folder / FORM
        if not path.exists():
            raise self._without_result()
        return self._read(path)

    def _read(self, path: Path) -> ShrunkForm:
        """What the child has left, which is this user's own process."""
        try:
            form = pickle.loads(path.read_bytes())
        except Exception as error:  # code that ran there can reach the file
            why = f"{type(error).__name__}: {safe_str(error)}"
        else:
            if fits(ShrunkForm, form):
                found: ShrunkForm = form
                return found
            why = "it is not of the form that it has"
        raise DbgkitError(
            f"the result of the process for {self._key!r} cannot be read: {why}",
            f"try again, or with {advice.option('where', 'worker')}",
            key=self._key,
        )

    @property
    def _key(self) -> Any:
        return self.prepared.failure.key

    def _tell(self) -> None:
        with suppress(OSError, ValueError):
            text = (self.folder / PROGRESS).read_text("utf-8")
            if text != self.told:
                self.told = text
                left, count = json.loads(text)
                self.notify(Progress("shrink", count - left, count, "parts"))

    def _without_result(self) -> DbgkitError:
        output = (self.folder / "output.txt").read_text("utf-8", errors="replace")
        lines = output.strip().splitlines()[-1:] or [describe_exit(self.child.poll())]
        return DbgkitError(
            f"the process that shrinks the input of {self._key!r} ended without a "
            f"result: {lines[0]}",
            f"{advice.option('where', 'worker')} runs it on a worker",
            key=self._key,
        )
