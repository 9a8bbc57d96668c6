"""The verbs: from a target to a failure, a replay, a prompt, a table.

Each takes any target first and options by keyword. They return data; `debug` opens
the debugger too. With an asynchronous client, in its own event loop, each returns an
awaitable, as Dask's own methods do.
"""

from dbgkit import render
from dbgkit.api.dying import deaths
from dbgkit.api.prompting import capture, debug, debugging
from dbgkit.api.recording import record, record_off, recordings
from dbgkit.api.replaying import locate, locate_all, replay
from dbgkit.api.states import doctor, failures, story, tasks, why

__all__ = [
    "capture",
    "deaths",
    "debug",
    "debugging",
    "doctor",
    "failures",
    "locate",
    "locate_all",
    "record",
    "record_off",
    "recordings",
    "replay",
    "story",
    "tasks",
    "why",
]

render.register()
