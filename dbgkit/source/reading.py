"""Unpickling with each function's code put back into its file."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from functools import partial
from pickle import UnpicklingError
from queue import Empty, SimpleQueue
from threading import Thread, local
from types import CodeType, TracebackType
from typing import Any

from dbgkit import advice
from dbgkit.cluster.packed import NeverRead
from dbgkit.remote.common.codes import DYNAMIC, fingerprint, identity, nested, under
from dbgkit.remote.common.frames import is_own, walk
from dbgkit.remote.common.texts import safe_repr
from dbgkit.remote.common.unpickling import Reading
from dbgkit.source.finding import EDITED, Index, below_name
from dbgkit.source.texts import came_from_stdin, is_nameless, remember

# File names of code that has no text anywhere.
_NO_FILES = (DYNAMIC, "<stdin>", "<string>")


_reads = local()  # whether what is read in this thread is bounded already


class Reader(Reading):
    """Unpickles what a replay needs, so that its frames have their source.

    No class of this process changes: see `Reading`. ``sources`` are what the user has
    named; ``places``, the result of `places` of a reader in another process. Unpickling
    may run any code: it may take ``limit`` seconds.
    """

    def __init__(
        self,
        sources: Iterable[str] = (),
        places: Mapping[str, Mapping[str, str]] | None = None,
        limit: float | None = None,
    ) -> None:
        super().__init__(self._place)
        self.limit = limit
        self.index = Index(sources)
        self._files: dict[str, str] = dict((places or {}).get("files", {}))
        self._redefined: set[tuple[str, str, int]] = set()
        for filename, text in (places or {}).get("texts", {}).items():
            remember(filename, text)

    def loads(self, data: Any, *, buffers: Iterable[Any] = ()) -> Any:
        """What ``pickle.loads`` gives, with the same errors.

        Raises
        ------
        NeverRead
            It did not finish within the limit; it goes on in a thread that nobody waits
            for.
        """
        if self.limit is None or getattr(_reads, "bounded", False):
            return super().loads(data, buffers=buffers)
        return _within(self.limit, partial(super().loads, data, buffers=buffers))

    def at_once(self, read: Callable[[], Any], seconds: float = 0.0) -> Any:
        """What ``read`` gives, which calls `loads` often: the limit is of it all.

        ``seconds`` are added to the limit. A thread for each item of a long list would
        take most of the time.
        """
        if self.limit is None:
            return read()

        def bounded() -> Any:
            _reads.bounded = True
            return read()

        return _within(self.limit + seconds, bounded)

    def places(self) -> dict[str, dict[str, str]]:
        """Which code was put into which file, for a reader in another process."""
        texts = {}
        for filename in set(self._files.values()):
            entry = linecache.cache.get(filename)
            if entry is not None and len(entry) == 4 and entry[1] is None:
                texts[filename] = "".join(entry[2])
        return {"files": dict(self._files), "texts": texts}

    def _place(self, code: CodeType, namespace: Mapping[str, Any]) -> CodeType:
        module, path = namespace.get("__name__"), namespace.get("__file__")
        module = module if isinstance(module, str) else "__main__"
        filename = code.co_filename
        if is_nameless(filename):
            found = self._find(code, module, path if isinstance(path, str) else "")
            if found is None:
                return code
            filename = found
        if _is_redefined(code, module):
            for each in nested(code):
                place = (filename, each.co_name, each.co_firstlineno)
                self._redefined.add(place)
        return code if filename == code.co_filename else under(code, filename)

    def _find(self, code: CodeType, module: str, path: str) -> str | None:
        mark = fingerprint(code)
        if mark not in self._files:
            found = self.index.find(code, module, path)
            if found is None:
                return None
            self._files[mark] = found.filename
        return self._files[mark]

    def notes(self, tb: TracebackType | None) -> Iterator[str]:
        """Notes on the source of a replay's frames, each once."""
        for name in self.edited:
            yield f"the class {name!r} was {EDITED}: the replay ran it as it was"
        lost, edited = {}, {}
        for frame, _ in walk(tb):
            code = frame.f_code
            if code.co_filename in _NO_FILES:
                lost[code.co_name] = True
            elif not is_own(code.co_filename):
                continue
            elif EDITED in code.co_filename:
                edited[code.co_name] = "its text is no longer known"
            elif (
                code.co_filename,
                code.co_name,
                code.co_firstlineno,
            ) in self._redefined:
                edited[code.co_name] = "the code is shown as it ran"
        for name, what in edited.items():
            yield f"{name!r} was {EDITED}: {what}"
        if lost:
            names = ", ".join(map(repr, lost))
            yield f"the source of {names} is not known here: {why_unknown()}"


def _within(limit: float, function: Callable[[], Any]) -> Any:
    """Call a function in a separate thread, and wait no longer than the limit."""
    came: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            came.put((function(), None))
        except BaseException as error:  # raised where it was asked for
            came.put((None, error))

    # What is read may ask for the worker that it stands in for.
    context = copy_context()
    Thread(target=context.run, args=(run,), name="dbgkit-reads", daemon=True).start()
    try:
        value, error = came.get(timeout=limit)
    except Empty:
        raise NeverRead(limit) from None
    if isinstance(error, Exception):
        raise error
    if error is not None:
        # What would end this process is not the user's wish: Ctrl-C arrives elsewhere.
        raise UnpicklingError(f"it raised {safe_repr(error)}") from error
    return value


def why_unknown() -> str:
    """Why some code's text is not found, as far as known, and what to do."""
    if came_from_stdin():
        return "this program came from standard input, and its text is gone"
    return f"name its file, notebook or folder with {advice.option('source')}"


def _is_redefined(code: CodeType, module: str) -> bool:
    """Whether the function of that name has changed since."""
    if not _has_name(code, module):
        return False
    now = [identity(each, lines=False) for each in below_name(module, code.co_name)]
    return bool(now) and identity(code, lines=False) not in now


def _has_name(code: CodeType, module: str) -> bool:
    """Whether code is of a module's function, not of a method or an inner function.

    Since Python 3.11 its qualified name shows that. Before, it is unknown if a class of
    the module has a method of that name.
    """
    name = code.co_name
    if hasattr(code, "co_qualname"):
        return bool(code.co_qualname == name)
    if code.co_flags & inspect.CO_NESTED:
        return False
    home = vars(sys.modules[module]) if module in sys.modules else {}
    classes = [value for value in list(home.values()) if isinstance(value, type)]
    return not any(name in vars(each) for each in classes)
