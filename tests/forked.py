"""What tests and their workers need is imported once, and garbage collection skips it.

Worker processes are forked off one that has imported this module, which saves each of
them 0.3 s for dask.dataframe, and 0.1 s for each collection of garbage.
"""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.forkserver
import os
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

for _name in (
    "dask.array",
    "dask.bag",
    "dask.dataframe",
    "distributed.http.worker.prometheus",
    "distributed.nanny",
    "tornado.platform.asyncio",
):
    with suppress(ImportError):
        import_module(_name)
tempfile.tempdir = None  # a worker may have another folder in its environment
gc.collect()
gc.freeze()

# Spawning takes far longer, and is Dask's own default.
METHOD = os.environ.get("DBGKIT_TEST_WORKERS", "forkserver")


def start_fork_server() -> None:
    """Start the process that workers are forked off, which imports this module.

    ``distributed.utils.get_mp_context`` would start one with the first worker that
    imports less.
    """
    if METHOD != "forkserver":
        return
    before = os.environ.get("PYTHONPATH")
    here = str(Path(__file__).parent)
    # Before Python 3.13 such a process does not get the path of what starts it.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, before]))
    try:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        multiprocessing.forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
