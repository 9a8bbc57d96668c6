"""How a line is read in a terminal, in IPython's terminal and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from dbgkit.model.display import is_terminal, running_shell

# Text, line, begin, end -> what may stand in place of the text.
Complete = Callable[[str, str, int, int], list[str]]
# As pdb splits a line into words.
DELIMITERS = " \t\n`@#%^&*()=+[{]}\\|;:'\",<>?"


class Reader(Protocol):
    """How one front end reads a line."""

    def read(self, prompt: str, complete: Complete | None) -> str:
        """A line; `EOFError` at the end of input, `KeyboardInterrupt` for Ctrl-C."""


@contextmanager
def reader_here() -> Iterator[Reader]:
    """The reader of this front end."""
    shell = running_shell()
    if shell is None:
        with _readline() as reader:
            yield reader
    elif hasattr(shell, "kernel") or not _has_terminal(shell):
        yield Plain()
    else:
        yield Toolkit()


def _has_terminal(shell: Any) -> bool:
    """Whether IPython has prompt_toolkit's editor at its prompt."""
    simple = getattr(shell, "simple_prompt", True)
    return not simple and is_terminal(sys.stdin)


class Plain:
    """``input``, as notebooks have it."""

    def read(self, prompt: str, complete: Complete | None) -> str:
        return input(prompt)


class Readline(Plain):
    """``input`` in a terminal, with completion; the history is that of the process."""

    def __init__(self, module: Any) -> None:
        self._readline = module
        self._complete: Complete | None = None
        self._found: list[str] = []

    def read(self, prompt: str, complete: Complete | None) -> str:
        self._complete = complete
        try:
            return input(prompt)
        finally:
            self._complete = None

    def completer(self, text: str, state: int) -> str | None:
        """Called by readline for each of the possibilities."""
        if state == 0:
            self._found = []
            line: str = self._readline.get_line_buffer()
            stripped = line.lstrip()
            cut = len(line) - len(stripped)
            begin = self._readline.get_begidx() - cut
            end = self._readline.get_endidx() - cut
            if self._complete is not None:
                self._found = self._complete(text, stripped, begin, end)
        return self._found[state] if state < len(self._found) else None


@contextmanager
def _readline() -> Iterator[Reader]:
    """Readline with a completer of ours, as long as a prompt is open."""
    try:
        import readline
    except ImportError:  # Windows
        yield Plain()
        return
    reader = Readline(readline)
    completer, delimiters = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(reader.completer)
    readline.set_completer_delims(DELIMITERS)
    if "libedit" in (readline.__doc__ or ""):
        readline.parse_and_bind("bind ^I rl_complete")
    else:
        readline.parse_and_bind("tab: complete")
    try:
        yield reader
    finally:
        readline.set_completer(completer)
        readline.set_completer_delims(delimiters)


class Toolkit:
    """The line editor of IPython's terminal: colours, history and completion.

    ``IPython.terminal`` (debugger.py, ptutils.py) has what its own debugger is made of.
    """

    _history: Any = None  # of one session after the other

    def __init__(self) -> None:
        from IPython.terminal.debugger import InMemoryHistory, PromptSession
        from IPython.terminal.ptutils import IPythonPTLexer

        kind = type(self)
        kind._history = kind._history or InMemoryHistory()
        self._session: Any = PromptSession(
            history=kind._history,
            lexer=IPythonPTLexer(),
            completer=_completer(self),
            complete_in_thread=True,
        )
        self.complete: Complete | None = None

    def read(self, prompt: str, complete: Complete | None) -> str:
        self.complete = complete
        # In a thread: cells run within an event loop, which another cannot run in.
        line: str = self._session.prompt(prompt, in_thread=True)
        return line


def _completer(reader: Toolkit) -> Any:
    from IPython.terminal.ptutils import Completer, Completion

    class Asking(Completer):  # type: ignore[misc]
        def get_completions(self, document: Any, complete_event: Any) -> Iterator[Any]:
            line = document.text_before_cursor.lstrip()
            begin = len(line)
            while begin and line[begin - 1] not in DELIMITERS:
                begin -= 1
            text = line[begin:]
            if reader.complete is None:
                return
            for each in reader.complete(text, line, begin, len(line)):
                yield Completion(each, start_position=-len(text))

    return Asking()
