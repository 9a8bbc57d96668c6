"""``dbgkit.debug``: open the debugger in the failed task.

From a future to a prompt: `debug` reads its options, `ask_and_show` (asking.py) finds
the client and the thread, `_replay_or_recording` decides what is entered, and
`locate_here` (locate.py) hands the target to ``targets``. What is found there goes to
``replays`` (`prepare`, `execute`), and `_Entrance` takes what is entered to the
debugger.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, overload

from dbgkit import advice, debugger, render
from dbgkit.api.asking import Async, Sync, Unpack, ask_and_show
from dbgkit.api.locate import captured_of, locate_here
from dbgkit.api.recordings import recording_for, recording_of
from dbgkit.api.replay import Replaying, one_of, read_options
from dbgkit.cluster.clients import is_open
from dbgkit.diagnose.root_causes import root_causes
from dbgkit.errors import DbgkitError, Declined, NotRecorded, WrongTarget
from dbgkit.model import Bundle, Failure, Recording, Replay
from dbgkit.model.display import was_printed
from dbgkit.replays.alive import live_post_mortem
from dbgkit.replays.capture import error_of, prepared_for
from dbgkit.replays.planning import Wanted
from dbgkit.replays.preparing import Notify, prepare
from dbgkit.replays.replaying import execute
from dbgkit.source import naming_sources
from dbgkit.targets.tracebacks import stands_for

render.load()  # whatever it is that fails later

Before = Callable[[Failure | Recording, bool], bool]


def _says_all(shown: Failure | Recording, prompting: bool) -> bool:
    return False


class _Options(Replaying, total=False):
    prompt: bool | None
    using: str | None


@overload
def debug(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Replay | Recording: ...


@overload
def debug(
    target: Any = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Replay | Recording]: ...


def debug(
    target: Any = None,
    *,
    client: Any = None,
    prompt: bool | None = None,
    using: str | None = None,
    source: Any = None,
    notify: Notify | None = None,
    scope: str = "task",
    where: str | None = None,
    times: int = 1,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    asynchronous: bool | None = None,
) -> Replay | Recording | Coroutine[Any, Any, Replay | Recording]:
    """Open the debugger in the failed task, at the line of the user's own code.

    If the failure's frames are still alive in this process, they are entered as they
    are; otherwise the task is replayed. If it cannot be replayed, or the replay does
    not fail in the same way, the recording made on the worker is entered, if the
    recorder was on. Without a terminal, or without frames, the report is printed.

    Parameters
    ----------
    target : optional
        As for `replay`; or a `Recording`, which is entered. Of a `Bundle`, what it has
        recorded is entered; with trust, ``where=`` or ``using="replay"`` run it again.
    using : {"replay", "recording"}, optional
        Only replay; or only enter the recording, so that nothing is run again.
    prompt : bool, optional
        False: print the report, never prompt.
    notify : callable, optional
        By default progress is shown on a terminal, and plans that mean much work have
        to be confirmed there.
    client, scope, where, times, recompute, timeout, max_bytes, source, asynchronous
        As for `replay`. ``source="recording"`` and ``source="replay"`` are former
        spellings of ``using=``, and warn.

    Returns
    -------
    Replay or Recording
        What was entered last, returned once the debugger was left: the `Replay` if
        there was one. With an asynchronous client, an awaitable.

    Raises
    ------
    DbgkitError
        Whatever `replay` raises, if there is no recording either.
    NotRecorded
        ``using="recording"``, and there is none.

    Examples
    --------
    >>> import dask, dbgkit
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     entered = dbgkit.debug(error, prompt=False)  # doctest: +ELLIPSIS
    ZeroDivisionError: division by zero
    ...
    >>> entered.outcome
    'same'
    """
    using, source = former_source(using, source)
    wanted = read_options(
        scope, where, times, recompute, timeout, max_bytes, source=source
    )
    one_of("using", using, (None, "replay", "recording"))
    return debug_as_read(target, client, wanted, prompt, using, notify, asynchronous)


def debug_as_read(
    target: Any,
    client: Any,
    wanted: Wanted,
    prompt: bool | None,
    using: str | None,
    notify: Notify | None,
    asynchronous: bool | None,
    before: Before | None = None,
) -> Replay | Recording | Coroutine[Any, Any, Replay | Recording]:
    """As `debug`, with its options already read.

    ``before`` is told what is about to be shown, and whether a prompt opens on it; it
    gives whether the exception itself is to be left out.
    """
    newest = target is None

    def run(target: Any, found: Any) -> _Entrance:
        if isinstance(target, Bundle):
            again = using == "replay" or (using is None and wanted.where is not None)
            target = target if again else _recorded_in(target)
        if isinstance(target, Recording) and using != "replay":
            return _Entrance(recording=target)
        if using == "recording":
            found_there = recording_for(target, found, wanted, newest=newest)
            return _Entrance(recording=found_there)
        with _telling(notify) as tell:
            return _replay_or_recording(target, found, wanted, tell, using)

    def show(entrance: _Entrance) -> Replay | Recording:
        wants_prompt = debugger.can_prompt() if prompt is None else prompt
        with naming_sources(wanted.sources):
            return entrance.enter(wants_prompt, before or _says_all)

    sources = wanted.sources
    return ask_and_show(
        target, client, wanted.timeout, run, show, asynchronous, sources
    )


def _recorded_in(bundle: Bundle) -> Recording:
    """What a file has recorded; entering it runs nothing of the file."""
    if bundle.recording is None:
        raise NotRecorded(
            f"{bundle.path!r} has no frames to enter: it was not known where it failed",
            key=bundle.failure.key,
        )
    return bundle.recording


def _replay_or_recording(
    target: Any, client: Any, wanted: Wanted, tell: Notify, using: str | None
) -> _Entrance:
    """The replay; the recording if there is no replay, or it does not fail the same."""
    recording: Recording | None = None
    refused: DbgkitError | None = None
    try:
        again, others = _replay_for_debug(target, client, wanted, tell)
    except DbgkitError as error:
        if using == "replay" or isinstance(error, (Declined, WrongTarget)):
            raise
        refused = error
    # Not while that error is handled: with no target it would be the one meant.
    if refused is not None:
        try:
            nothing = target is None
            recording = recording_for(target, client, wanted, newest=nothing)
        except DbgkitError:
            raise refused from None
        return _Entrance(recording=recording, refused=refused)
    if again.failure.kind == "carried" and again.failure.key is None and not using:
        # Its frames here are the library's: the recording has the task's own.
        with suppress(DbgkitError):
            return _Entrance(recording=recording_for(target, client, wanted))
    if again.outcome in ("passed", "different", "died") and using is None:
        recording = recording_of(again.failure, client, wanted)
    return _Entrance(again, others, recording)


def _replay_for_debug(
    target: Any, client: Any, wanted: Wanted, tell: Notify
) -> tuple[Replay, tuple[Failure, ...]]:
    """The replay to enter, and the other root causes."""
    failures = locate_here(target, client, wanted.timeout, wanted, finished=True)
    others = tuple(root_causes(failures)[1:])
    captured = captured_of(target)
    if captured is not None and captured.error is not None:
        raise error_of(captured)
    alive = live_post_mortem(failures[0], wanted)
    if alive is not None:
        return alive, others
    prepared = None if captured is None else prepared_for(captured, wanted)
    if prepared is not None:
        return execute(prepared, tell), others
    return execute(prepare(failures[0], wanted, tell), tell), others


@contextmanager
def _telling(notify: Notify | None) -> Iterator[Notify]:
    if notify is not None:
        yield notify
        return
    with render.Notifier() as shown:
        yield shown


_FORMER = ("replay", "recording", ["replay"], ["recording"])


def former_source(using: Any, source: Any) -> tuple[Any, Any]:
    """``source=`` was what ``using=`` is now."""
    if using is not None or source not in _FORMER:
        return using, source
    source = source if isinstance(source, str) else source[0]
    warnings.warn(
        f"debug(source={source!r}) is now debug(using={source!r}); source= names "
        "files to find code in",
        DeprecationWarning,
        stacklevel=3,
    )
    return source, None


@dataclass
class _Entrance:
    """What to enter: a replay, a recording, or one after the other."""

    replay: Replay | None = None
    others: tuple[Failure, ...] = ()
    recording: Recording | None = None
    refused: DbgkitError | None = None

    def enter(self, wants_prompt: bool, before: Before) -> Replay | Recording:
        again, recording = self.replay, self.recording
        entered = False
        if again is not None:
            error = again.exception
            if error is None and again.recording is not None:
                error = debugger.as_exception(again.recording)
            if error is not None and wants_prompt:
                titled = not before(again.failure, True)
                header = self._header(again, titled)
                self._enter(error, again.failure, header)
                entered = True
            else:
                before(again.failure, False)
                render.present(again)
        elif recording is not None:
            before(recording, wants_prompt)
        if self.refused is not None:
            render.say(f"not replayed: {self.refused}")
        if recording is not None:
            if entered:
                enter = advice.call("debug", recording.key, using="recording")
                render.say(f"what the worker saw was recorded: {enter} enters it")
            elif wants_prompt:
                if again is not None:
                    print()
                header = render.recording_header(recording, color=None)
                self._enter(debugger.as_exception(recording), recording, header)
            else:
                print()
                render.present(recording)
        found = again if again is not None else recording
        assert found is not None
        was_printed(found, debugger.cell_running)
        return found

    def _header(self, again: Replay, titled: bool) -> str:
        client = again.failure.evidence.client
        return render.header(
            again,
            others=[other.key for other in self.others],
            reachable=client is not None and is_open(client),
            color=None,
            titled=titled,
        )

    def _enter(
        self, error: BaseException, entered: Failure | Recording, header: str
    ) -> None:
        """Open the debugger on what was replayed, or made of a recording.

        It leaves the exception to ``%debug``, as a target that stands for what it was
        made of.
        """
        if error is not getattr(entered, "exception", None):
            stands_for(error, entered)
        asked = entered.exception if isinstance(entered, Failure) else None
        debugger.enter(error, header=header, asked=asked)
