"""Functions of ours around a task's call, as Dask and other parts of ours see them."""

from __future__ import annotations

import os
from typing import Any

# Classes that stand for a run spec: the recorder's is outside of the one that stops.
WATCHED, BREAKING = "Watched", "Breaking"


def pass_as_worker_code(function: Any) -> None:
    """Make Dask leave a function's frame out of the tracebacks that it sends.

    ``distributed.utils.get_traceback`` leaves out the outer frames of files whose
    path has ``distributed/worker`` in it.
    """
    name = os.path.join("distributed", "worker", "<dbgkit recorder>")
    function.__code__ = function.__code__.replace(co_filename=name)
