"""Runs inside a child of a process pool: records the failure of a task there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..common.exceptions import traceback_of
from ..common.frames import walk
from ..common.origins import origins_of
from ..common.origins_steps import frames_of
from ..recording.packing import pack
from ..recording.take import Limits, take
from .pool_files import leave
from .recorder_spec import NO_FAILURES, pass_as_worker_code

if TYPE_CHECKING:
    from ..common.wire_recordings import RecorderSettings

ORIGINS = 100  # run specs that are looked at for where values came from
# A child that was forked has this module; one that was not runs the plain task.
IN_CHILD = (
    "(lambda found: found.InChild(spec, path, limits) if found else spec)"
    "(__import__('sys').modules.get(module))"
)


def inputs_in(args: Any) -> Mapping[Any, Any]:
    """What a run spec was called with: its inputs, by key."""
    return args[0] if args and isinstance(args[0], dict) else {}


class InChild:
    """A run spec in a child of a process pool: leaves its recording in a file."""

    def __init__(self, spec: Any, path: str, limits: RecorderSettings) -> None:
        self.spec = spec
        self.path = path
        self.limits = Limits.from_wire(limits)

    def __call__(self, *args: Any) -> Any:
        try:
            return self.spec(*args)
        except NO_FAILURES:
            raise
        except BaseException as error:
            self.record(error, args)
            raise

    def record(self, exception: BaseException, args: Any) -> None:
        """Never raises; without a file there is a gap, which is reported."""
        try:
            frames = frames_of(walk(traceback_of(exception)))
            origins = origins_of(None, self.spec, {}.get, frames=frames, visits=ORIGINS)
            recording = take(
                exception,
                self.limits,
                short=False,
                inputs=inputs_in(args),
                origins=origins,
            )
            packed, _ = pack(recording, self.limits.nbytes)
            leave(self.path, packed)
        except Exception:
            return


pass_as_worker_code(InChild.__call__)
