"""How a worker is set up for debugging, and what its failed tasks still hold.

Nothing is collected, unpickled or changed.
"""

from __future__ import annotations

import gc
import logging
import os
from collections import Counter
from collections.abc import Mapping
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import dask
from dask.sizeof import sizeof

from ..common.log_records import failed_plugins
from ..common.preloads import preloads_of
from ..common.settings import read_settings
from .doctor_modules import compare_modules

if TYPE_CHECKING:
    from ..common.wire_tasks import Checked, Held, RecorderState

MOST_FRAMES = 2000
_NO_LOCALS = (FrameType, CodeType, FunctionType, ModuleType, TracebackType, type)
_RUNNERS = ("_run_task_simple", "_run_task_async")  # distributed/worker.py


def probe_worker(modules: Mapping[str, str], dask_worker: Any) -> Checked:
    """Settings that matter to debugging, and what failed frames keep alive.

    Goes through all objects that Python's garbage collector tracks, once, and reads the
    files of ``modules``: digests of what the client has, by name.
    """
    data = dask_worker.data
    # Results are held anyway; those that were spilled are left on the disk.
    results = getattr(data, "memory", data if type(data) is dict else {})
    level = logging.getLogger("distributed.worker").getEffectiveLevel()
    return {
        "pid": os.getpid(),
        "settings": read_settings(dask.config.config),
        "hides_failures": level > logging.ERROR,
        "held": held_by_failed_frames(list(results.values())),
        "recorders": _recorders(dask_worker),
        "failed_plugins": failed_plugins(dask_worker),
        "preloads": preloads_of(dask_worker),
        "modules": compare_modules(str(dask_worker.local_directory), modules),
    }


def _recorders(worker: Any) -> list[RecorderState]:
    """State of dbgkit's recorders on this worker: what they dropped, what failed."""
    return [
        plugin.state()
        for name, plugin in list(worker.plugins.items())
        if name.startswith("dbgkit-recorder") and hasattr(plugin, "state")
    ]


def held_by_failed_frames(held_anyway: list[Any]) -> Held:
    """What the frames of failed tasks keep alive: bytes, frames, functions.

    Exceptions, tracebacks and frames form reference cycles, so that they stay until
    Python's next full garbage collection.
    """
    frames: dict[int, FrameType] = {}
    for thing in gc.get_objects():
        if type(thing) is TracebackType and thing.tb_frame.f_code.co_name in _RUNNERS:
            below = thing.tb_next
            while below is not None and len(frames) < MOST_FRAMES:
                frames[id(below.tb_frame)] = below.tb_frame
                below = below.tb_next
    sizes = {id(value): 0 for value in held_anyway}
    functions: Counter[str] = Counter()
    for frame in frames.values():
        functions[frame.f_code.co_name] += _size_of_locals(frame, sizes)
    return {
        "bytes": sum(sizes.values()),
        "frames": len(frames),
        "functions": functions.most_common(5),
    }


def _is_snapshot(value: dict[Any, Any], frame: FrameType, ids: set[int]) -> bool:
    """Whether a dict is the one that ``frame.f_locals`` made, of the same values.

    Before Python 3.13 it stays with the frame once somebody has asked for it.
    """
    code = frame.f_code
    names = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    return bool(value) and all(
        name in names and id(item) in ids for name, item in value.items()
    )


def _size_of_locals(frame: FrameType, sizes: dict[int, int]) -> int:
    """Bytes of a frame's locals that were not counted before.

    ``frame.f_locals`` would make a dict that keeps them alive still longer; what the
    garbage collector sees does not.
    """
    taken = 0
    held = gc.get_referents(frame)
    ids = set(map(id, held))
    for value in held:
        known = isinstance(value, _NO_LOCALS) or id(value) in sizes
        if known or value is frame.f_globals or value is frame.f_builtins:
            continue
        if type(value) is dict and _is_snapshot(value, frame, ids):
            continue
        try:
            size = int(sizeof(value))
        except Exception:  # a user's own __sizeof__ or registered function
            size = 0
        sizes[id(value)] = size
        taken += size
    return taken
