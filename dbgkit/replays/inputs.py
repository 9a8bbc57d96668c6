"""Values of a replay's inputs: pulled once, and copied afresh for each run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbgkit import advice
from dbgkit.cluster.pulls import pull_values
from dbgkit.errors import DbgkitError, InputNotCopyable
from dbgkit.model import Notice, Plan, Progress
from dbgkit.remote.common.texts import safe_str
from dbgkit.remote.common.unpickling import pickle_alike
from dbgkit.replays.material import Material
from dbgkit.replays.nodes import write
from dbgkit.replays.recompute import recompute
from dbgkit.source import Reader

_CHECKED = 64 * 2**20  # bytes of inputs that are pulled again to be compared


@dataclass
class Inputs:
    """Inputs by key, as they arrived.

    If other code in this process holds the same objects, they are ``shared``: the task
    only gets copies, unpickled by ``reader`` as the task itself was.
    """

    values: dict[Any, Any]
    shared: bool
    reader: Reader
    _pickled: bytes | None = field(default=None, repr=False)

    def fresh(self, *, last: bool) -> dict[Any, Any]:
        """Values for one run, which the task may change.

        What was pulled from another process is ours alone: the last run takes it as it
        is, so large inputs are in memory only once.
        """
        if last and not self.shared:
            return dict(self.values)
        if self._pickled is None:
            self._pickled = self.pickled()
        try:
            copied: dict[Any, Any] = self.reader.loads(self._pickled)
        except DbgkitError:  # it is still at it
            raise
        except Exception as error:  # unpickling runs anybody's code
            raise self._uncopied(error) from error
        return copied

    def _uncopied(self, error: Exception) -> InputNotCopyable:
        """The error for values that were pickled, and cannot be read again."""
        culprit, what = None, "the inputs cannot be copied together"
        for key, value in self.values.items():
            try:
                self.reader.loads(write(value, f"input {key!r}", key))
            except DbgkitError:  # it waits, or says itself which one it is
                raise
            except Exception as own:  # as above
                error, culprit = own, key
                what = f"input {key!r} cannot be copied"
                break
        return InputNotCopyable(
            f"{what}: {safe_str(error)}",
            f"{advice.option('where', 'worker')} has a worker run it, on its own copy",
            key=culprit,
        )

    def pickled(self) -> bytes:
        """All values in one pickle, so that shared objects stay shared."""
        try:
            return write(self.values, "the inputs")
        except DbgkitError:
            # Say which one: the error of all of them together does not.
            for key, value in self.values.items():
                write(value, f"input {key!r}", key)
            raise


def pull_inputs(
    material: Material,
    plan: Plan,
    max_bytes: int,
    timeout: float,
    notify: Callable[[Any], Any],
) -> Inputs:
    """Pull what the plan says from the cluster."""
    taken = [info.key for info in plan.inputs if info.how == "have"]
    taken += [key for key in material.inputs_of(plan.run_here) if key in material.have]
    values = {key: material.have[key] for key in taken}
    shared = material.shared or bool(values)
    if material.link is not None:
        values.update(recompute(material, plan, max_bytes, timeout, notify))
        values.update(_pull(material, plan, notify))
    return Inputs(values, shared, material.reader)


def _pull(
    material: Material, plan: Plan, notify: Callable[[Any], Any]
) -> dict[Any, Any]:
    assert material.link is not None
    keys = [info.key for info in plan.inputs if info.how == "pull"]
    if not keys:
        return {}
    notify(Progress("pull", 0, plan.pull_bytes, "bytes"))
    stored_as = material.stored_as
    data = pull_values(
        material.link,
        {stored_as(key): material.rows[key].who_has for key in keys},
        plan.pull_bytes,
        lambda text: notify(Notice(text)),
        reader=material.reader,
    )
    notify(Progress("pull", plan.pull_bytes, plan.pull_bytes, "bytes"))
    return {key: data[stored_as(key)] for key in keys}


def changed_in_place(
    material: Material, plan: Plan, inputs: Inputs, after: dict[Any, Any]
) -> list[Any]:
    """Keys of inputs that the task has changed, found by comparing with another copy.

    Only inputs that are cheap to copy again are compared.
    """
    before = inputs.values
    if not inputs.shared:
        if material.link is None or plan.pull_bytes > _CHECKED:
            return []
        before = _pull(material, plan, lambda event: None)
    return [
        key
        for key, value in after.items()
        if key in before and not pickle_alike(before[key], value, inputs.reader.loads)
    ]
