"""Values of a replay's inputs: pulled once, and copied afresh for each run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbgkit.errors import DbgkitError
from dbgkit.model import Notice, Plan, Progress
from dbgkit.replay.material import Material
from dbgkit.replay.nodes import write
from dbgkit.replay.recompute import recompute

_CHECKED = 64 * 2**20  # bytes of inputs that are pulled again to be compared


@dataclass
class Inputs:
    """Inputs by key.

    Attributes
    ----------
    values : dict of Key to object
        As they came; not to be handed to the task where they are `shared`.
    shared : bool
        Whether somebody else in this process holds the same objects.
    """

    values: dict[Any, Any]
    shared: bool
    _pickled: bytes | None = field(default=None, repr=False)

    def fresh(self, *, last: bool) -> dict[Any, Any]:
        """Values for one run, which the task may change.

        What was pulled from another process is our own: the last run takes it as it
        is, so that large inputs are in memory once.
        """
        if last and not self.shared:
            return dict(self.values)
        if self._pickled is None:
            self._pickled = self.pickled()
        from distributed.protocol.pickle import loads

        copied: dict[Any, Any] = loads(self._pickled)
        return copied

    def pickled(self) -> bytes:
        """All values in one pickle, so that what they share stays shared."""
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
    """Bring what the plan says from the cluster."""
    values = {
        info.key: material.have[info.key] for info in plan.inputs if info.how == "have"
    }
    for key in plan.run_here:
        row = material.rows.get(key)
        for dependency in row.dependencies if row else ():
            if dependency in material.have:
                values[dependency] = material.have[dependency]
    shared = material.shared or bool(values)
    if material.link is not None:
        values.update(recompute(material, plan, max_bytes, timeout, notify))
        values.update(_pull(material, plan, notify))
    return Inputs(values, shared)


def _pull(
    material: Material, plan: Plan, notify: Callable[[Any], Any]
) -> dict[Any, Any]:
    assert material.link is not None
    keys = [info.key for info in plan.inputs if info.how == "pull"]
    if not keys:
        return {}
    notify(Progress("pull", 0, plan.pull_bytes, "bytes"))
    stored = {key: material.rows[key].stored_as or key for key in keys}
    data = material.link.fetch(
        {stored[key]: material.rows[key].who_has for key in keys},
        plan.pull_bytes,
        lambda text: notify(Notice(text)),
    )
    data = {key: data[stored[key]] for key in keys}
    notify(Progress("pull", plan.pull_bytes, plan.pull_bytes, "bytes"))
    return data


def changed_in_place(
    material: Material | None, plan: Plan, inputs: Inputs, after: dict[Any, Any]
) -> list[Any]:
    """Keys of inputs that the task has changed, found by comparing with another copy.

    Only inputs that can be had again for little are compared.
    """
    before = inputs.values
    if not inputs.shared:
        if material is None or material.link is None or plan.pull_bytes > _CHECKED:
            return []
        before = _pull(material, plan, lambda event: None)
    return [
        key
        for key, value in after.items()
        if key in before and not _alike(before[key], value)
    ]


def _alike(one: Any, other: Any) -> bool:
    """Whether two values pickle alike; True where that cannot be told."""
    from distributed.protocol.pickle import dumps, loads

    try:
        # A round trip first: a copy's pickle shares other parts than an original's.
        return bool(dumps(loads(dumps(one))) == dumps(loads(dumps(other))))
    except Exception:  # pickling runs anybody's code, and no answer is an answer
        return True
