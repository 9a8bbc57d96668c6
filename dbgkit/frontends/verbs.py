"""The options of every verb, once: commands, magics, their help and completion.

``tests/test_unit_options.py`` compares them with the signatures of the verbs, and lists
what a front end leaves out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from dbgkit.frontends.kinds import Option

COMMAND_LINE, MAGICS = "command line", "magics"
SWITCH = ("on", "off")  # of the recorder, and of live
PAGE = "dbgkit-report.html"  # where a report is written
BUNDLE = "failure.dbgkit"  # and where a failure is saved


@dataclass(frozen=True)
class Verb:
    """What may be typed after a verb."""

    options: tuple[Option, ...]
    target: str = ""  # the parameter that needs no name, if there is one
    only: str = ""  # the one front end that has it; by default all
    # Whether a number in place of the target is one of the list of failures.
    numbered: bool = True


def _states() -> tuple[str, ...]:
    from dbgkit.diagnose.tasks import STATES

    return STATES


def _columns() -> tuple[str, ...]:
    from dbgkit.remote.scheduler.tasks import COLUMNS

    return COLUMNS


def _limit(what: str, default: int) -> Option:
    return Option(
        "limit",
        f"show at most this many {what}; the rest is counted",
        "number",
        default,
    )


_CLIENT = Option(
    "client",  # commands have --scheduler
    "a client's variable, or a scheduler's address",
    "client",
    only=MAGICS,
)
_DUMP = Option(
    "view", "a cluster dump to read, in place of a cluster", "dump", name="dump"
)
_SOURCE = Option(
    "source",
    "a file (.py, .ipynb) or folder to search for the text of code",
    "path",
    many=True,
)
_TIMEOUT = Option("timeout", "limit of each wait on the cluster", "duration", "30s")
_VIEW = (_CLIENT, _DUMP, _SOURCE, _TIMEOUT)

_WHERE = Option(
    "where",
    "run it in this process, in a child that may die, or on a worker",
    "here|process|worker",
    shown="here, unless that is impossible",
)
_INPUTS = (
    Option(
        "recompute",
        "fail rather than compute released inputs again",
        "flag",
        name="no-recompute",
    ),
    Option("max_bytes", "pull at most this much of inputs", "size", "1 GiB"),
    _SOURCE,
    _TIMEOUT,
)
_RUN = (
    Option(
        "scope", "the task alone, or all that leads to it", "task|ancestors", "task"
    ),
    Option("times", "how often to run it", "number", 1),
    *_INPUTS,
)
_REPLAY = (*_RUN, _WHERE, _CLIENT)
_PLAN = Option("dry_run", "show what would be done, and exit", "flag", False)
_DEBUG = (
    Option("prompt", "print the report, even at a terminal", "flag", name="no-prompt"),
    Option("using", "only replay, or only enter what was recorded", "replay|recording"),
)
_APART = replace(
    _WHERE,
    help="replay in this process, or in a child that may die",
    kind="here|process",
)
# A script, of which every failure is debugged; its client has closed by then.
_SCRIPT = (
    *_RUN,
    _APART,
    *_DEBUG,
    Option("save", "save the failure to this file", "output", form="FILE"),
)
# A file, of which nothing is run without trust.
_OPEN = (
    replace(_APART, help="with --trust: run it here, or in a child", shown="process"),
    Option("timeout", "limit of a run in a child", "duration", "30s"),
    *_DEBUG[:1],
    Option("as_json", "print one JSON document", "flag", False, name="json"),
)

_TRUST = Option(
    "trust", "the file is from somebody who may run code here", "flag", False
)
# A file in place of a key and a cluster.
_OF_FILE = (
    Option(
        "file",
        "take the failure that this file holds, in place of a key",
        "file",
        only=COMMAND_LINE,
    ),
    replace(
        _TRUST,
        help="with --file: it is from somebody who may run code here",
        only=COMMAND_LINE,
    ),
)
_SHRINK = (
    Option("all", "find every part that makes it fail by itself", "flag", False),
    replace(
        _WHERE,
        help="run it in this process, in processes that may die, or on a worker",
        shown="on a worker, unless its inputs are small",
    ),
    Option(
        "time", "limit of it all; the best so far is shown then", "duration", "1 min"
    ),
    Option("runs", "run the task at most so often", "number"),
    Option(
        "save",
        "save the failure with that input to this file",
        "output",
        form="FILE",
        only=COMMAND_LINE,
    ),
    *_OF_FILE,
    *(each for each in _RUN if each.keyword not in ("scope", "times")),
    _CLIENT,
)

_FAILURES = (
    Option(
        "since",
        "only what failed since then (2026-01-31T12:00), or this long ago (5m)",
        "moment",
    ),
    Option("span", "only what failed in this span, by name or id", form="SPAN"),
    Option(
        "of_client", "only failures of this client's work", "client", also=("--client",)
    ),
    _limit("root causes", 20),
)
_TASKS = (
    Option(
        "state",
        "only tasks in these states",
        "list",
        form="STATE,STATE",
        some=_states,
        many=True,
    ),
    Option("prefix", "only with this prefix", form="PREFIX", many=True),
    Option("worker", "only on this worker, by address or name", form="WORKER"),
    Option(
        "failed",
        "only what failed by itself, or only the rest",
        "flag",
        opposite="not-failed",
    ),
    Option(
        "sort",
        "largest first, texts from A to Z; reversed with --sort=-COLUMN",
        form="COLUMN",
        some=_columns,
    ),
    _limit("tasks", 50),
)
_PEEK = (
    Option("times", "how many samples to take", "number", 1),
    Option("every", "time between two samples", "duration", "0.1s"),
    _limit("tasks", 10),
)
_SAVE = (
    Option(
        "path",
        "where to write it; a file that is there is replaced",
        "output",
        shown=BUNDLE,
        name="output",
        also=("-o",),
    ),
    Option(
        "inputs", "leave out the call and its inputs", "flag", True, name="no-inputs"
    ),
    *(each for each in _RUN if each.keyword not in ("scope", "times")),
)
# Their defaults are those of Dask's configuration.
_RECORD = (
    Option(
        "hold",
        "hold at most this much; the oldest are dropped first",
        "size",
        shown="64 MB",
    ),
    Option("keep_inputs", "keep at most this much of inputs", "size", shown="0"),
    Option("nbytes", "maximum size of one recording", "size", shown="256 kB"),
    Option("kept", "keep values up to this size whole", "size", shown="4 kB"),
    Option("time", "maximum time for one recording", "duration", shown="100 ms"),
    Option("secret_names", "names to hide, besides the usual ones", "list", many=True),
    Option("dashboard", "show a page, /dbgkit, next to Dask's dashboard", "flag"),
    Option(
        "keep_frames",
        "hold failures with their live frames for so long, for attach to enter",
        "duration",
        shown="0",
    ),
    Option("most", "hold this many of each kind on a worker", "number", shown="3"),
    _CLIENT,
    _TIMEOUT,
)
_LIVE = (
    Option(
        "most", "how many tasks stop, for each prefix and worker", "number", shown="1"
    ),
    Option(
        "limit",
        "how long a task waits without a command until it goes on by itself",
        "duration",
        shown="10 min",
    ),
    Option(
        "everyone",
        "stop the tasks of every client",
        "flag",
        shown="this client's, or with a command everyone's",
    ),
    _CLIENT,
    _TIMEOUT,
)
_BREAK_AT = (
    Option(
        "when",
        "at the start, where it raises, or at this line of the place's file",
        default="start",
        form="start|error|LINE",
        some=lambda: ("start", "error"),
    ),
    Option("condition", "stop where this expression is true", form="EXPRESSION"),
    Option("hits", "stop from this arrival on, on each worker", "number", 1),
    Option("once", "stop one task, once", "flag", False),
    Option("log", "report this expression, and stop nothing", form="EXPRESSION"),
    *_LIVE,
)
_ATTACH = (
    Option(
        "debugger",
        "debugpy: have VS Code, or another editor, debug it",
        "pdb|debugpy",
        shown="pdb",
    ),
    Option("prompt", "show what waits, even at a terminal", "flag", name="no-prompt"),
    _CLIENT,
    _SOURCE,
    _TIMEOUT,
)
_OUTPUT = Option("path", "write it to this file, as a page", "output", name="output")
# A command has nothing to return, so it always writes.
_OUTPUT_OF_COMMAND = replace(
    _OUTPUT,
    help="where to write it; - is standard output",
    shown=f"{PAGE}, or - with --json",
    also=("-o",),
)
_TEST = (
    Option(
        "path",
        "the file to write, test_*.py or *_test.py",
        "output",
        shown="test_FUNCTION.py",
        name="output",
        also=("-o",),
    ),
    Option("overwrite", "replace a file that is there already", "flag", False),
    Option("confidential", "write what looks like a secret too", "flag", False),
    *_OF_FILE,
)
_EXIT_CODE = Option(
    "exit_code",
    "exit with code 1 if a task failed or is stuck, or doctor found a problem",
    "flag",
    False,
    only=COMMAND_LINE,
)
_WATCH = (
    Option(
        "every",
        "time between updates; none begins before the last has ended",
        "duration",
        "2s",
    ),
    Option("once", "print one update, and exit", "flag", False),
    Option("updates", "exit after so many updates", "number"),
)

VERBS = {
    "locate": Verb((_CLIENT, _SOURCE, _TIMEOUT), "target"),
    "replay": Verb((*_REPLAY, _PLAN), "target"),
    "debug": Verb((*_REPLAY, *_DEBUG), "target"),
    "shrink": Verb(_SHRINK, "target"),
    "failures": Verb((*_FAILURES, *_VIEW)),
    "tasks": Verb((*_TASKS, _CLIENT, _DUMP, _TIMEOUT), "keys"),  # shows no code
    "story": Verb(_VIEW, "target"),
    "why": Verb(_VIEW, "target"),
    "doctor": Verb(_VIEW),
    "deaths": Verb((_limit("deaths", 50), *_VIEW)),
    "peek": Verb((*_PEEK, *_VIEW), "target"),
    "record": Verb(_RECORD, "switch"),
    "recordings": Verb((_limit("recordings", 50), *_VIEW), "target"),
    "live": Verb(_LIVE, "switch"),
    "break_at": Verb(_BREAK_AT, "place", numbered=False),
    "attach": Verb(_ATTACH, "target", numbered=False),
    "report": Verb((_OUTPUT_OF_COMMAND, _EXIT_CODE, *_VIEW)),
    "to_test": Verb((*_TEST, *_INPUTS, _CLIENT), "target"),
    "watch": Verb((*_WATCH, *_VIEW)),
    "save": Verb((*_SAVE, _CLIENT), "target"),
    "load": Verb((_TRUST,), "path", only=MAGICS, numbered=False),
    "open": Verb((_TRUST, *_OPEN), only=COMMAND_LINE),
    "run": Verb(_SCRIPT, only=COMMAND_LINE),
}


def _as_magic(verb: Verb) -> Verb:
    """A verb without the options of its command alone."""
    options = tuple(each for each in verb.options if each.only != COMMAND_LINE)
    return replace(verb, options=options)


MAGIC_VERBS = {
    "dbg": VERBS["debug"],
    **{
        f"dbg_{name}": _as_magic(verb)
        for name, verb in VERBS.items()
        if verb.only in ("", MAGICS)
    },
    "dbg_report": Verb((_OUTPUT, *_VIEW)),
}
# What holds for a replay of what was taken as a client closed, too.
CAPTURED = tuple(option.keyword for option in (*_RUN, _WHERE))

# Limits of a command that is given none.
CONNECT, ANSWER = "10s", "30s"
# Where a command looks, and how it answers: in place of the verb's own.
PLACE = (
    Option(
        "scheduler",
        "address of the scheduler: tcp://host:8786",
        shown="scheduler-address in Dask's configuration, so also "
        "DASK_SCHEDULER_ADDRESS",
        form="ADDRESS",
    ),
    Option(
        "scheduler_file",
        "the file that dask scheduler --scheduler-file has written",
        "file",
    ),
    _DUMP,
    _SOURCE,
    Option("as_json", "print one JSON document", "flag", False, name="json"),
    Option("tls_ca_file", "certificate authorities for TLS, as PEM", "file"),
    Option("tls_cert", "certificate for TLS, as PEM", "file"),
    Option("tls_key", "private key for TLS, as PEM", "file"),
    replace(
        _TIMEOUT,
        help="limit of each wait",
        default=None,
        shown=f"{CONNECT} to connect, {ANSWER} for an answer",
    ),
)

_KNOWN = {each.keyword: each for verb in VERBS.values() for each in verb.options}


def function_of(verb: str) -> Callable[..., Any]:
    """The function of a verb, loaded on first use."""
    found: Callable[..., Any] = getattr(import_module(f"dbgkit.api.{verb}"), verb)
    return found


def spelled(keyword: str, value: Any, quote: Any) -> str:
    """An option as it is typed with a value; with None, its name alone."""
    option = _KNOWN.get(keyword) or Option(keyword, "")
    if option.opposite and value is not None and value != option.value:
        return f"--{option.opposite}"
    if value is None or option.kind == "flag":
        return option.flag
    return f"{option.flag} {quote(str(value))}"
