"""How this process differs from the worker that the task failed on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dbgkit.cluster.link import Link
from dbgkit.cluster.workers import surroundings
from dbgkit.errors import AnswerUnreadable, SchedulerGone, WaitTimedOut
from dbgkit.model import Difference, Failure
from dbgkit.remote.common.frame_codes import with_homes
from dbgkit.remote.common.frames import package_of, parse_traceback
from dbgkit.remote.secrets.redact import redact_value
from dbgkit.remote.worker.environment import describe_process
from dbgkit.source.shown import codes_of_failure

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Surroundings

_PACKAGES = ("dask", "distributed", "numpy", "pandas", "pyarrow", "cloudpickle")
# Differs between any two processes or sessions, and says nothing. Dask sets some itself
# (distributed/nanny.py, proctitle.py, scheduler.py).
_NOISE = re.compile(
    r"^(_|PWD|OLDPWD|SHLVL|LINES|COLUMNS|TERM.*|COLORTERM|PS\d|LS_COLORS|"
    r"DASK_INTERNAL_.*|DASK_PARENT|__DASK_PARENT_PID|DASK_SCHEDULER_ADDRESS|"
    r"MALLOC_TRIM_THRESHOLD_|(OMP|MKL|OPENBLAS)_NUM_THREADS|"
    r"TMP|TEMP|TMPDIR|HOSTNAME|WINDOWID|SSH_.*|XDG_(SESSION_.*|RUNTIME_DIR)|DBUS_.*|"
    r"TMUX.*|STY|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|"
    r"PYTEST_.*|JPY_.*|GIT_PAGER|PAGER|CLICOLOR.*|FORCE_COLOR|MPLBACKEND|"
    r"PYDEVD_.*|IPY_.*)$"
)
# Nanny.__init__ (distributed/nanny.py) sets it, unless somebody has set another.
_NANNYS_SEED = "6640"
_NOISY_SETTINGS = (
    "distributed.worker",
    "distributed.nanny",
    "temporary-directory",
    "distributed.admin",
    "scheduler",
    "shuffle",
    "array.",
    "logging",
)


Asked = tuple["Surroundings | None", str]


def ask_worker(link: Link, failure: Failure) -> Asked:
    """The environment of the failure's worker, or None and why.

    Costs one call to the worker.
    """
    if failure.worker is None:
        return None, ""
    try:
        return surroundings(link, failure.worker, packages_of(failure)), ""
    except AnswerUnreadable as error:
        return None, error.message
    except (SchedulerGone, WaitTimedOut, KeyError):
        return (
            None,
            f"worker {failure.worker} cannot be asked about its environment: it has "
            "left, or does not answer",
        )


def differences_noted(
    failure: Failure, asked: Asked | None, link: Link | None, notes: list[str]
) -> tuple[Difference, ...]:
    """How this process differs from the worker; asks it, if nobody has.

    If that is not known, a note says why.
    """
    if asked is None:
        asked = ask_worker(link, failure) if link is not None else (None, "")
    there, note = asked
    notes.extend([note] if note else [])
    if there is None:
        return ()
    here = describe_process(packages_of(failure))
    return tuple(compare_surroundings(here, there))


def packages_of(failure: Failure) -> tuple[str, ...]:
    """Packages to compare: the usual ones, and those that the frames are in."""
    text = with_homes(failure.traceback_text, codes_of_failure(failure))
    files = [filename for filename, _, _ in parse_traceback(text)]
    found = [name for name in map(package_of, files) if name]
    return tuple(dict.fromkeys([*_PACKAGES, *found]))


def compare_surroundings(
    here: Surroundings, there: Surroundings
) -> Iterable[Difference]:
    """What differs, secrets hidden; only what was set by somebody."""
    version, folder = here["python"], here["directory"]
    if version != there["python"]:
        yield Difference("python", "version", version, there["python"])
    yield from _mappings("package", here["packages"], there["packages"])
    if folder != there["directory"]:
        yield Difference("directory", "working directory", folder, there["directory"])
    yield from _mappings("environment", here["environment"], there["environment"])
    yield from _mappings("configuration", here["configuration"], there["configuration"])


def _mappings(
    kind: str, here: Mapping[str, str | None], there: Mapping[str, str | None]
) -> Iterable[Difference]:
    for name in sorted(here.keys() | there.keys()):
        one, other = here.get(name), there.get(name)
        if one == other or _is_noise(kind, name):
            continue
        if name == "PYTHONHASHSEED" and {one, other} <= {None, "0", _NANNYS_SEED}:
            continue
        yield Difference(kind, name, _shown(name, one), _shown(name, other))


def _is_noise(kind: str, name: str) -> bool:
    if kind == "environment":
        return bool(_NOISE.match(name))
    return kind == "configuration" and name.startswith(_NOISY_SETTINGS)


def _shown(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    text = redact_value(name, value)
    return text if len(text) <= 200 else f"{text[:200]}…"
