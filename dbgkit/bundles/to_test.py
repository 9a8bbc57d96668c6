"""From a failed task to a test of the user's own function, which is run first."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dbgkit import advice
from dbgkit.bundles.to_test_calls import Body, imports_for
from dbgkit.bundles.to_test_draft import Draft, relative
from dbgkit.bundles.to_test_secrets import refuse_secrets_in_source
from dbgkit.bundles.to_test_text import edited_since
from dbgkit.bundles.to_test_verify import Verdict, refuse, verify, write_files
from dbgkit.bundles.to_test_writer import Writer
from dbgkit.errors import CannotWrite, DbgkitError, NotVerified, WouldKill, WrongTarget
from dbgkit.model import Failure, Progress
from dbgkit.remote.common.calls import name_of_function, plain_name
from dbgkit.remote.common.frames import own_line
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.replays.function_call import FunctionCall, find_calls
from dbgkit.replays.naming import named
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.source.places import cell_name

_LONGEST = 300  # characters of a message
_COLLECTED = re.compile(r"^(test_.+|.+_test)\.py$")


@dataclass(frozen=True)
class Place:
    """Where a test goes; ``path`` None: here, named for its function."""

    path: Path | None
    overwrite: bool = False

    def of(self, function: str) -> Path:
        """The file; raises `CannotWrite` if it is there already."""
        path = self.path or Path(f"test_{function}.py")
        inputs = path.with_name(f"{path.stem}_inputs")
        for each in (path, inputs):
            if each.exists() and not self.overwrite:
                raise CannotWrite(
                    f"{str(each)!r} is there already",
                    f"{advice.option('overwrite', True)} replaces it; or name another",
                )
        return path


def check_path(path: str | os.PathLike[str] | None, overwrite: bool) -> Place:
    """Raise unless a test can be there, and pytest finds it."""
    if path is None:
        return Place(None, overwrite)
    name = os.fspath(path)
    if "://" in name:
        raise WrongTarget(f"{name!r} is an address, not a path of a file")
    found = Path(os.path.expanduser(name))
    if not _COLLECTED.match(found.name):
        better = found.with_name(f"test_{found.stem or 'job'}.py")
        raise CannotWrite(
            f"pytest would not find {name!r}: it collects test_*.py and *_test.py",
            f"name it {str(better)!r}",
        )
    if not found.parent.is_dir():
        raise CannotWrite(f"cannot write {name!r}: {str(found.parent)!r} is no folder")
    place = Place(found, overwrite)
    place.of("")
    return place


def refuse_killed(failure: Failure) -> None:
    """Raise for a task that ends its process: pytest would end with it."""
    if failure.killed:
        raise WouldKill(
            f"{named(failure.key)} killed the worker that it ran on: a test of it "
            "would kill pytest",
            "make the input smaller, or mend it by what the death says",
            key=failure.key,
        )


def write_test(
    prepared: Prepared, place: Place, notify: Notify, *, confidential: bool = False
) -> Path:
    """Write the test of a failed task, once it has failed in the same way."""
    failure = prepared.failure
    verdicts: list[Verdict] = []
    edited = ""
    refused: DbgkitError | None = None
    for call in find_calls(prepared, notify):
        notify(Progress("test", 0, 1))
        edited = edited or edited_since(call.code)
        for bare in (False, True):
            try:
                draft, path, again = _draft(call, failure, place, bare, confidential)
            except CannotWrite:
                raise
            except DbgkitError as error:
                refused = refused or error
                break
            verdict = verify(draft, failure, call.exception, call.seconds)
            if not verdict.reason:
                notify(Progress("test", 1, 1))
                return _install(draft, path)
            verdicts.append(verdict)
            if not (again and verdict.other):
                break
    if verdicts:
        raise refuse(verdicts, failure.key, edited)
    raise refused or NotVerified(f"no test of {named(failure.key)}", key=failure.key)


def _draft(
    call: FunctionCall, failure: Failure, place: Place, bare: bool, confidential: bool
) -> tuple[Draft, Path, bool]:
    """A draft, its path, and whether it may be otherwise without decorators."""
    draft = Draft("test_call")
    writer = Writer(draft, bare=bare, confidential=confidential)
    body = Body(writer)
    for line in imports_for(call):
        draft.need(line)
    body.write(call)
    label = _label(call, body.called)
    path = place.of(label)
    draft.name, draft.function, draft.body = path.stem, f"test_{label}", body.lines
    if not confidential:
        for block in draft.blocks:
            name = os.path.basename(block.filename) or path.name
            refuse_secrets_in_source([line for line, _ in block.lines], name)
    draft.header = _header(call, failure, draft, label)
    return draft, path, writer.decorated


def _label(call: FunctionCall, called: str) -> str:
    """What the test is called, after ``test_``: as what it calls."""
    known = plain_name(name_of_function(call.function))
    last = called.removesuffix(".__wrapped__").rpartition(".")[2]
    if last.isidentifier() and last != "function" and not call.cells:
        known = last
    return re.sub(r"\W", "_", known) or "call"


def _header(
    call: FunctionCall, failure: Failure, draft: Draft, label: str
) -> tuple[str, ...]:
    """What failed, where and when; and what to do with the test."""
    message = in_line(" ".join(redact_text(failure.message[:_LONGEST]).split()))
    kind = failure.exception_type or "Exception"
    what = f"{kind}: {message}" if message else kind
    key = in_line(redact_text(str(failure.key)[:_LONGEST]))
    where = own_line(call.exception)
    told = f"It was the task {key}" if failure.key is not None else "It was a task"
    if where is not None:
        told += f", at {_place(where[0], where[1])} in {where[2]}"
    if failure.when is not None:
        told += f", on {failure.when:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"{label} failed: {what}",
        "",
        f"{told}.",
        "dbgkit has written this test and run it: it fails as the task did, and passes "
        "once that is mended.",
    ]
    if draft.from_job:
        lines.append(
            "What is tested was copied from a script or a notebook: mend it here, or "
            "import it in place of the copy, from where it is mended."
        )
    return tuple(lines)


def _place(filename: str, line: int) -> str:
    """A line, by names that mean something on another machine too."""
    cell = cell_name(filename)
    return f"{cell}, line {line}" if cell else f"{os.path.basename(filename)}:{line}"


def _install(draft: Draft, path: Path) -> Path:
    """Write the files, the inputs first; or raise `CannotWrite`."""
    folder = path.resolve().parent
    text, _ = draft.render({root: relative(root, folder) for root in draft.roots})
    try:
        write_files(draft, folder)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"cannot write {str(path)!r}: {error}") from error
    return path
