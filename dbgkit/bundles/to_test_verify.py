"""A test is run before it is handed over, in a fresh process, and has to fail alike."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.bundles.to_test_draft import Draft, Places
from dbgkit.bundles.to_test_layout import quoted
from dbgkit.bundles.to_test_probe import REPORT
from dbgkit.errors import NotHere, NotVerified
from dbgkit.model import MALFORMED, Failure
from dbgkit.remote.common.texts import safe_str
from dbgkit.remote.recording.raised import FrameRow
from dbgkit.replays.naming import named
from dbgkit.replays.outcome import difference, raised_from_wire

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import RaisedForm

LIMIT = 60.0  # seconds for a test, besides what its task takes
_LOOK = "import importlib.util, json, sys; print(json.dumps([{}]))"
_ONE = (
    "(lambda s: bool(s) and (s.origin or [*(s.submodule_search_locations or [''])][0]))"
    "(importlib.util.find_spec({!r}))"
)


@dataclass(frozen=True)
class Verdict:
    """How a test ended: ``reason`` is empty if it failed as its task did."""

    reason: str = ""
    hint: str = ""
    # Whether another form of the call may do better: it failed, in another way.
    other: bool = False


def verify(
    draft: Draft, failure: Failure, error: BaseException, seconds: float
) -> Verdict:
    """Run a draft in a temporary folder, and compare what it raises."""
    with _folder() as folder:
        draft.roots = _roots_needed(draft, folder)
        names = {root: f"Path({quoted(root)})" for root in draft.roots}
        text, places = draft.render(names)
        path = folder / f"{draft.name}.py"
        write_files(draft, folder)
        path.write_text(text, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n")
        limit = LIMIT + 10 * seconds
        output = _run_pytest(path, limit)
        if output is None:
            return Verdict(f"it did not end within {limit:.0f} s")
        return _verdict(folder / "report.json", output, draft, places, failure, error)


@contextmanager
def _folder() -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="dbgkit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise NotHere(
            f"a test is run in a temporary folder first: {error}",
            "set TMPDIR to a folder that can be written to",
        ) from None
    with made as name:
        yield Path(name).resolve()


def write_files(draft: Draft, folder: Path) -> None:
    """Write the inputs that the test reads."""
    if not draft.files:
        return
    inputs = folder / draft.folder
    inputs.mkdir(exist_ok=True)
    for name, kept in draft.files.items():
        (inputs / name).write_bytes(kept.data)


def _environment(folder: Path) -> dict[str, str]:
    left_out = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST")
    env = {k: v for k, v in os.environ.items() if k not in left_out}
    env |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONBREAKPOINT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        REPORT: str(folder / "report.json"),
    }
    return env


def _roots_needed(draft: Draft, folder: Path) -> list[str]:
    """Folders without which a fresh Python does not find the modules of the user's."""
    if importlib.util.find_spec("pytest") is None:
        raise NotHere(
            "pytest is not installed here, and a test is run before it is written",
            "python -m pip install pytest",
        )
    names = [*draft.modules]
    if not names:
        return []
    code = _LOOK.format(", ".join(_ONE.format(name) for name in names))
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    try:
        origins = dict(zip(names, json.loads(found.stdout), strict=True))
    except ValueError:
        raise NotHere(f"Python does not start here: {found.stderr[-500:]}") from None
    needed = [
        root
        for name, root in draft.modules.items()
        if not origins[name] or not _is_below(str(origins[name]), root)
    ]
    return list(dict.fromkeys(needed))


def _is_below(origin: str, root: str) -> bool:
    with suppress(OSError):
        return os.path.realpath(origin).startswith(os.path.realpath(root) + os.sep)
    return False


def _run_pytest(path: Path, limit: float) -> str | None:
    """Run one file; its output, or None if it had to be killed."""
    env = _environment(path.parent)
    ours = str(Path(__file__).parents[2])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), ours)))
    options = ("-q", "-x", "--noconftest", "--assert=plain", "-p", "no:cacheprovider")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", *options),
            *("-p", "dbgkit.bundles.to_test_probe", "-c", "pytest.ini"),
            *("--rootdir", str(path.parent), path.name),
        ],
        cwd=path.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)
    return output.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a run: the process, and those that it has started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=10)


def _verdict(
    report: Path,
    output: str,
    draft: Draft,
    places: Places,
    failure: Failure,
    error: BaseException,
) -> Verdict:
    try:
        found = json.loads(report.read_text(encoding="utf-8"))
        how = str(found["how"])
        form = raised_from_wire(found["raised"]) if "raised" in found else None
    except (OSError, *MALFORMED):
        return Verdict(f"its process ended before it had a result: {_tail(output)}")
    if how == "passed":
        return Verdict(
            "it passes",
            "what it fails on is outside of its arguments: chance, time, files, or "
            "what the task did before",
            True,
        )
    if how == "collect":
        return Verdict(f"it cannot be imported: {_tail(found['text'])}", other=True)
    assert form is not None
    mapped = _in_words_of_job(form, draft, places)
    known = replace(
        failure,
        key="test",
        found_in="local",
        kind="task",
        killed=False,
        shuffle="",
        exception=error,
        exception_type=type(error).__name__,
        message=safe_str(error),
    )
    how_other = difference(known, mapped)
    if how_other is None:
        return Verdict()
    text = how_other or f"{mapped['type']}: {mapped['message']}"
    return Verdict(f"it fails in another way: {text}", _hint_for(text), True)


def _hint_for(text: str) -> str:
    if "No worker found" in text or "get_client" in text or "No clients" in text:
        return "it needs its worker, which a test does not have"
    return f"{advice.call('debug')} opens the task itself"


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"^E\s+\S", line)]
    return (errors or lines or ["nothing was printed"])[-1].removeprefix("E").strip()


def _in_words_of_job(form: RaisedForm, draft: Draft, places: Places) -> RaisedForm:
    """What a test raised, with the files and lines of the job's, and its module."""
    rows = [*form["frames"]]
    own = f"{draft.name}.py"
    outer = [
        at
        for at, (file, _, function) in enumerate(rows)
        if os.path.basename(file) == own and function == draft.function
    ]
    rows = rows[outer[-1] + 1 :] if outer else rows
    frames: list[FrameRow] = [
        (*places.get(line, (file, line)), function)
        if os.path.basename(file) == own
        else (file, line, function)
        for file, line, function in rows
    ]

    def renamed(text: str) -> str:
        return text.replace(f"{draft.name}.", "__main__.")

    return {
        **form,
        "frames": frames,
        "message": renamed(form["message"]),
        "text": renamed(form["text"]),
        "chain": [
            [kind, renamed(message), renamed(text), own]
            for kind, message, text, own in form["chain"]
        ],
    }


def refuse(verdicts: Iterable[Verdict], key: Any, edited: str) -> NotVerified:
    """The error for what could not be verified, with the reason of the first.

    ``edited`` is the file that the function was in, if that has changed since.
    """
    first = next(iter(verdicts))
    return NotVerified(
        f"no test was written of {named(key)}: as a test, {first.reason}",
        f"{os.path.basename(edited)!r} was edited since it ran"
        if edited
        else first.hint,
        key=key,
    )
