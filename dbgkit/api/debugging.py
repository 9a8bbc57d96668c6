"""``dbgkit.debugging``: debug what fails within a block of a script."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from dbgkit import render
from dbgkit.api.debug import debug, debug_as_read, former_source
from dbgkit.api.replay import one_of, read_options, silent
from dbgkit.errors import DbgkitError, NotHere
from dbgkit.model import Failure, Recording, Replay
from dbgkit.replays.capture import Capture, capturing
from dbgkit.replays.planning import Wanted
from dbgkit.replays.preparing import Notify
from dbgkit.targets.ending import to_debug


class debugging:
    """Debug what fails inside: for scripts, with ``with`` or ``async with``.

    A ``Client`` inside that exits because of an exception is first asked for what a
    replay needs, because it is closed by the time the exception gets here. Then `debug`
    is called with the exception, and the exception goes on.

    Parameters
    ----------
    **options
        As for `debug`, except `target` and `asynchronous`. They also apply to what is
        collected from a client, except ``where="worker"``, which is refused once the
        client has closed.

    Raises
    ------
    TypeError, ValueError
        There is no such option, or it cannot have that value; raised before anything
        runs.

    Examples
    --------
    >>> import dbgkit
    >>> with dbgkit.debugging():
    ...     total = sum(range(10))
    """

    def __init__(self, **options: Any) -> None:
        inspect.signature(debug).bind(None, **options)
        if "asynchronous" in options:
            raise TypeError("asynchronous: that is for with and async with to decide")
        using, source = former_source(options.get("using"), options.get("source"))
        one_of("using", using, (None, "replay", "recording"))
        self._options = {**options, "using": using, "source": source}
        names = _replay_options()
        self._wanted = _read(**{n: v for n, v in self._options.items() if n in names})
        self._capturing: AbstractContextManager[Capture] | None = None

    def __enter__(self) -> debugging:
        notify = self._options.get("notify") or silent
        self._capturing = capturing(self._wanted, notify)
        self._capturing.__enter__()
        return self

    def __exit__(self, kind: object, value: BaseException | None, tb: object) -> None:
        try:
            with _errors_on_stderr():
                done = None
                if (error := to_debug(value)) is not None:
                    done = debug(error, **self._options)
                if asyncio.iscoroutine(done):
                    done.close()
                    raise NotHere(
                        "an asynchronous client cannot be used in a with block",
                        "use async with dbgkit.debugging()",
                    )
        finally:
            self._end()

    async def __aenter__(self) -> debugging:
        return self.__enter__()

    async def __aexit__(
        self, kind: object, value: BaseException | None, tb: object
    ) -> None:
        try:
            with _errors_on_stderr():
                if (error := to_debug(value)) is not None:
                    names = ("client", "prompt", "using", "notify")
                    asked = {name: self._options.get(name) for name in names}
                    entering = debug_as_read(
                        error, wanted=self._wanted, asynchronous=True, **asked
                    )
                    assert not isinstance(entering, (Replay, Recording))
                    await entering
        finally:
            self._end()

    def _end(self) -> None:
        assert self._capturing is not None
        self._capturing.__exit__(None, None, None)


def capture(
    *,
    inputs: bool = True,
    notify: Notify | None = None,
    **options: Any,
) -> AbstractContextManager[Capture]:
    """Keep what a replay needs from clients that exit because of an exception.

    Inside, and after such a client has closed, the exception is a target as before,
    for the ``options`` of a replay that are given here.
    """
    return capturing(_read(**options), notify or silent, inputs=inputs)


def debug_ended(
    error: BaseException,
    before: Callable[[Failure | Recording, bool], bool],
    *,
    notify: Notify,
    prompt: bool | None = None,
    using: str | None = None,
    source: Any = None,
    **options: Any,
) -> None:
    """`debug` what ended a script; ``before`` is told what is about to be shown.

    It is handed that, and whether a prompt opens on it; it gives whether the report is
    to leave out the exception itself.
    """
    using, source = former_source(using, source)
    one_of("using", using, (None, "replay", "recording"))
    wanted = _read(source=source, **options)
    debug_as_read(error, None, wanted, prompt, using, notify, None, before)


def _read(**options: Any) -> Wanted:
    """Options of a replay; those that are not given are as `debug` has them."""
    return read_options(**{**_replay_options(), **options})


def _replay_options() -> dict[str, Any]:
    """The options of a replay, and their defaults."""
    known = inspect.signature(debug).parameters
    return {
        name: known[name].default for name in inspect.signature(read_options).parameters
    }


@contextmanager
def _errors_on_stderr() -> Iterator[None]:
    """Print an error of ours, or Ctrl-C, in a line; the user's exception goes on."""
    try:
        yield
    except DbgkitError as error:
        render.say(error)
    except KeyboardInterrupt as interrupt:
        render.say_stopped(interrupt)
    except asyncio.CancelledError:
        # So Ctrl-C reaches a coroutine; it ends the whole of it.
        render.say("the replay was stopped")
        raise
