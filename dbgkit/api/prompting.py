"""The verbs that open the debugger."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dbgkit import debugger, render
from dbgkit.api.asking import ask
from dbgkit.api.recorded import recording_for, recording_of
from dbgkit.api.replaying import (
    captured_of,
    locate_here,
    one_of,
    read_options,
    silent,
)
from dbgkit.diagnose import root_causes
from dbgkit.errors import DbgkitError, Declined, NotHere, WrongTarget
from dbgkit.locate.traces import stands_for
from dbgkit.model import Failure, Recording
from dbgkit.replay import Replay, execute, live_post_mortem, prepare
from dbgkit.replay.capture import Capture, capturing, error_of
from dbgkit.replay.planning import Wanted
from dbgkit.replay.replaying import Notify


def debug(
    target: Any = None,
    *,
    client: Any = None,
    prompt: bool | None = None,
    source: str | None = None,
    notify: Notify | None = None,
    scope: str = "task",
    where: str | None = None,
    times: int = 1,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
) -> Any:
    """Open the debugger in the failed task, at the line of the user's own code.

    Where the failure's frames are still alive in this process they are entered as
    they are; else the task is replayed; and where that cannot be, or the replay
    does not fail in the same way, what the recorder took on the worker is entered,
    if it was on. Without a terminal, or without frames, the report is printed.

    Parameters
    ----------
    target : optional
        As for `replay`; or a `Recording`, which is entered.
    source : {"replay", "recording"}, optional
        Only replay, or only enter the recording; nothing is run again then.
    prompt : bool, optional
        False: print the report, never prompt.
    notify : callable, optional
        By default progress is shown on a terminal, and plans of much work are asked
        about there.
    client, scope, where, times, recompute, timeout, max_bytes
        As for `replay`.

    Returns
    -------
    Replay or Recording
        What was entered last, after the debugger was left; the `Replay` where there
        was one. With an asynchronous client, an awaitable.

    Raises
    ------
    DbgkitError
        What `replay` raises, where there is no recording either.
    NotRecorded
        ``source="recording"``, and there is none.
    """
    wanted = read_options(scope, where, times, recompute, timeout, max_bytes)
    one_of("source", source, (None, "replay", "recording"))

    newest = target is None

    def run(target: Any, found: Any) -> _Entrance:
        if isinstance(target, Recording) and source != "replay":
            return _Entrance(recording=target)
        if source == "recording":
            found_there = recording_for(target, found, wanted, newest=newest)
            return _Entrance(recording=found_there)
        with _telling(notify) as tell:
            return _replay_or_recording(target, found, wanted, tell, source)

    def show(entrance: _Entrance) -> Replay | Recording:
        wants_prompt = debugger.can_prompt() if prompt is None else prompt
        return entrance.enter(wants_prompt)

    return ask(target, client, timeout, run, show)


@dataclass
class _Entrance:
    """What to enter: a replay, a recording, or the one after the other."""

    replay: Replay | None = None
    remaining: int = 0
    recording: Recording | None = None
    refused: DbgkitError | None = None

    def enter(self, wants_prompt: bool) -> Replay | Recording:
        again, recording = self.replay, self.recording
        entered = False
        if again is not None:
            error = again.exception
            if error is None and again.recording is not None:
                error = debugger.as_exception(again.recording)
            if error is not None and wants_prompt:
                header = render.header(again, remaining=self.remaining, color=None)
                self._enter(error, again.failure, header)
                entered = True
            else:
                render.report(again)
        if self.refused is not None:
            print(f"dbgkit: not replayed: {self.refused}", file=sys.stderr)
        if recording is not None:
            if entered:
                print(
                    "dbgkit: what the worker saw was recorded: "
                    'dbgkit.debug(..., source="recording") enters it',
                    file=sys.stderr,
                )
            elif wants_prompt:
                header = render.recording_header(recording, color=None)
                self._enter(debugger.as_exception(recording), recording, header)
            else:
                print()
                render.report(recording)
        found = again if again is not None else recording
        assert found is not None
        return found

    def _enter(
        self, error: BaseException, entered: Failure | Recording, header: str
    ) -> None:
        """Open the debugger on what was replayed, or made of a recording.

        It leaves the exception at the prompt, for ``%debug``: a target like what it
        was made of.
        """
        if error is not getattr(entered, "exception", None):
            stands_for(error, entered)
        debugger.enter(error, header=header)


def _replay_or_recording(
    target: Any, client: Any, wanted: Wanted, tell: Notify, source: str | None
) -> _Entrance:
    """The replay; the recording where that cannot be, or does not fail the same."""
    recording: Recording | None = None
    try:
        again, remaining = _replay_for_debug(target, client, wanted, tell)
    except DbgkitError as error:
        if source == "replay" or isinstance(error, (Declined, WrongTarget)):
            raise
        try:
            nothing = target is None
            recording = recording_for(target, client, wanted, newest=nothing)
        except DbgkitError:
            raise error from None
        return _Entrance(recording=recording, refused=error)
    if again.outcome in ("passed", "different", "died") and source is None:
        recording = recording_of(again.failure, client, wanted)
    return _Entrance(again, remaining, recording)


class debugging:
    """Debug what fails inside: for scripts, with ``with`` or ``async with``.

    While inside, a ``Client`` that exits because of an exception is first asked for
    what a replay needs, as it is closed by the time that the exception gets here.
    Then `debug` is called with the exception, and the exception goes on.

    Parameters
    ----------
    **options
        As for `debug`, but for the target.

    Examples
    --------
    >>> import dbgkit
    >>> with dbgkit.debugging():
    ...     total = sum(range(10))
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._capturing: AbstractContextManager[Capture] | None = None

    def __enter__(self) -> debugging:
        options = {
            name: self._options[name]
            for name in ("timeout", "max_bytes")
            if name in self._options
        }
        self._capturing = capture(**options)
        self._capturing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._debugged(value) as waiting:
            if waiting is not None:
                waiting.close()
                raise NotHere(
                    "an asynchronous client cannot be asked in a with block",
                    "use async with dbgkit.debugging()",
                )

    async def __aenter__(self) -> debugging:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._debugged(value) as waiting:
            if waiting is not None:
                await waiting

    @contextmanager
    def _debugged(self, value: BaseException | None) -> Iterator[Any]:
        """Debug what leaves the block; gives what is to be awaited, if anything is."""
        assert self._capturing is not None
        try:
            with _told_on_stderr():
                done = None
                if isinstance(value, Exception):
                    done = debug(value, **self._options)
                yield done if asyncio.iscoroutine(done) else None
        finally:
            self._capturing.__exit__(None, None, None)


def capture(
    *,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    inputs: bool = True,
    notify: Notify | None = None,
) -> AbstractContextManager[Capture]:
    """Keep what a replay needs of clients that exit because of an exception.

    Inside, and after such a client has closed, the exception is a target as before.
    """
    wanted = read_options("task", None, 1, None, timeout, max_bytes)
    return capturing(wanted, notify or silent, inputs=inputs)


def _replay_for_debug(
    target: Any, client: Any, wanted: Wanted, tell: Notify
) -> tuple[Replay, int]:
    """The replay to enter, and how many other root causes there are."""
    failures = locate_here(target, client, wanted.timeout, wanted, finished=True)
    remaining = len(root_causes(failures)) - 1
    captured = captured_of(target)
    if captured is not None and captured.error is not None:
        raise error_of(captured)
    alive = live_post_mortem(failures[0])
    if alive is not None:
        return alive, remaining
    if captured is not None and captured.prepared is not None:
        return execute(captured.prepared, tell), remaining
    return execute(prepare(failures[0], wanted, tell), tell), remaining


@contextmanager
def _telling(notify: Notify | None) -> Iterator[Notify]:
    if notify is not None:
        yield notify
        return
    with render.Notifier() as shown:
        yield shown


@contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Say an error of ours in a line: the user's own exception goes on."""
    try:
        yield
    except DbgkitError as error:
        print(f"dbgkit: {error}", file=sys.stderr)
