"""What an editor may ask of debugpy in a worker, and what it is told.

Only what concerns the one thread that has stopped: nothing ends or pauses the process,
exchanges its output, or watches its files. Places in code that travelled by value are
told by the file that they have at the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..common.codes import DYNAMIC
from .live_dap_wire import Message

PASSED = frozenset(
    (
        *("initialize", "attach", "configurationDone", "threads", "stackTrace"),
        *("scopes", "variables", "setVariable", "setExpression", "evaluate"),
        *("completions", "source", "modules", "exceptionInfo"),
        *("next", "stepIn", "stepOut", "stepInTargets", "continue", "pause"),
        *("setBreakpoints", "setFunctionBreakpoints", "setExceptionBreakpoints"),
        *("gotoTargets", "goto"),
    )
)
# What makes the thread run, or runs something there: counted as commands.
COMMANDS = frozenset(
    (
        *("next", "stepIn", "stepOut", "continue", "goto"),
        *("setVariable", "setExpression", "evaluate"),
    )
)
_CONTINUE = "continue"
_RESUMES = (_CONTINUE, "next", "stepIn", "stepOut")
_SETTINGS = (
    *("name", "type", "request", "justMyCode", "rules", "pathMappings", "clientOS"),
    *("showReturnValue", "variablePresentation", "maxExceptionStackFrames"),
)
# What of a worker's process is not an editor's to do.
_CANNOT = {
    "supportTerminateDebuggee": False,
    "supportsTerminateRequest": False,
    "supportsRestartRequest": False,
    "supportsModulesRequest": False,
}
MOST_TEXT = 200_000  # characters of one value
OWN = 1_000_000_000  # from here on numbers of messages and sources are ours


class Texts(Protocol):
    """What is known of the source of code that travelled by value."""

    def text_of(self, name: str) -> str | None:
        """The text of a file by its name, if it is no file of the client's."""

    def knows(self, name: str) -> bool:
        """Whether it is the name of a file that such code is of."""


class Rules:
    """For one session.

    ``to_editor`` and ``to_debugpy`` are called with messages, ``leave`` with nothing,
    once the editor leaves, and ``resumed`` once the thread has been told to run.
    Requests come in one thread, answers in another.
    """

    def __init__(
        self,
        to_editor: Callable[[Message], None],
        to_debugpy: Callable[[Message], None],
        leave: Callable[[], None],
        resumed: Callable[[], None],
        texts: Texts,
        thread: str,
        title: str,
        system: str,
    ) -> None:
        self._to_editor = to_editor
        self._to_debugpy = to_debugpy
        self._leave = leave
        self._resumed = resumed
        self._texts = texts
        self._thread = thread
        self._title = title
        self._system = system
        self._numbers = OWN
        self._answered: set[Any] = set()  # requests, before debugpy does
        self._sources: list[str] = []  # names, by number
        # Breakpoints by the names of files, as the editor has set them.
        self.wanted: dict[str, list[Any]] = {}

    # -- requests ------------------------------------------------------------

    def request(self, message: Message) -> None:
        """Act on a message of the editor's."""
        if message.get("type") != "request":
            return
        command, asked = message.get("command"), message.get("arguments")
        if not isinstance(asked, dict):
            asked = message["arguments"] = {}
        if command in ("disconnect", "terminate"):
            self.answer(message, {})
            self._leave()
        elif command == "attach":
            kept = {name: asked[name] for name in _SETTINGS if name in asked}
            kept.setdefault("clientOS", self._system)
            kept["steppingResumesAllThreads"] = False
            self._to_debugpy({**message, "arguments": kept})
        elif command in _RESUMES:
            self._resume(message, asked)
        elif command == "setBreakpoints":
            self._to_debugpy(message)
            self._set_breakpoints(asked)
        elif command == "source" and (name := self._named(asked)):
            self._tell_text(message, name)
        elif command in PASSED:
            self._to_debugpy(message)
        else:
            self.answer(message, {}, f"{command!s:.50} is not for a worker's process")

    def _resume(self, message: Message, asked: Message) -> None:
        """Have the thread run; the answer may not wait: the task may end at once."""
        body = {"allThreadsContinued": False} if message["command"] == _CONTINUE else {}
        self.answer(message, body)
        self._answered.add(message.get("seq"))
        self._to_debugpy({**message, "arguments": {**asked, "singleThread": True}})

    @property
    def is_resuming(self) -> bool:
        """Whether the thread has been told to run, and debugpy is yet to do so."""
        return bool(self._answered)

    def answer(self, message: Message, body: Message, problem: str = "") -> None:
        """Answer a request in debugpy's place."""
        found = {
            "type": "response",
            "seq": self._number(),
            "request_seq": message.get("seq"),
            "command": message.get("command"),
            "success": not problem,
            "body": body,
        }
        self._to_editor({**found, "message": problem} if problem else found)

    def ended(self) -> None:
        """Tell the editor that there is nothing to debug any more."""
        self._to_editor({"type": "event", "seq": self._number(), "event": "terminated"})

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _set_breakpoints(self, asked: Message) -> None:
        """Set those of all files in code that travelled by value, too.

        debugpy knows all of it as one file; `wants` tells at a stop whose it is.
        """
        source = asked.get("source")
        path = source.get("path") if isinstance(source, dict) else None
        points = asked.get("breakpoints") or []
        if not isinstance(path, str) or not isinstance(points, list):
            return
        self.wanted[path] = [each for each in points if isinstance(each, dict)]
        every = {
            each.get("line"): each for file in self.wanted.values() for each in file
        }
        request = {
            "type": "request",
            "seq": self._number(),
            "command": "setBreakpoints",
            "arguments": {
                "source": {"path": DYNAMIC},
                "breakpoints": list(every.values()),
            },
        }
        self._to_debugpy(request)

    def wants(self, file: str, line: int) -> bool:
        """Whether the editor has set a breakpoint at a line."""
        return any(each.get("line") == line for each in self.wanted.get(file, ()))

    def _named(self, asked: Message) -> str:
        number = asked.get("sourceReference")
        if not isinstance(number, int) or number <= OWN:
            return ""
        at = number - OWN - 1
        return self._sources[at] if at < len(self._sources) else ""

    def _tell_text(self, message: Message, name: str) -> None:
        text = self._texts.text_of(name)
        problem = "" if text is not None else f"the source of {name} is not known"
        self.answer(message, {"content": text or ""}, problem)

    # -- answers -------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Pass a message of debugpy's on to the editor, as far as it is for it."""
        command, body = message.get("command"), message.get("body")
        if message.get("type") == "response":
            asked = message.get("request_seq", 0)
            if asked > OWN:
                return  # nobody but us has asked
            if asked in self._answered:
                self._answered.discard(asked)
                self._resumed()
                return
        if isinstance(body, dict):
            if command == "initialize":
                body.update(_CANNOT)
            elif command == "threads":
                self._keep_thread(body)
            elif command == "stackTrace":
                self._name_sources(body)
            elif command == "setBreakpoints":
                self._verify(body)
            elif command == "evaluate":
                _cut(body, "result")
            elif command == "variables":
                for each in body.get("variables", ()):
                    _cut(each, "value")
        self._to_editor(message)

    def _keep_thread(self, body: Message) -> None:
        mine = [e for e in body.get("threads", ()) if e.get("name") == self._thread]
        body["threads"] = [{**each, "name": self._title} for each in mine]

    def _name_sources(self, body: Message) -> None:
        """Say by a number, and not by a path, what is no file of the client's."""
        for frame in body.get("stackFrames", ()):
            source = frame.get("source") or {}
            name = source.get("path")
            if isinstance(name, str) and self._texts.text_of(name) is not None:
                if name not in self._sources:
                    self._sources.append(name)
                number = OWN + 1 + self._sources.index(name)
                source.update(name=name, sourceReference=number)

    def _verify(self, body: Message) -> None:
        """What is not found on the worker may be the file of code by value."""
        for each in body.get("breakpoints", ()):
            source = each.get("source") or {}
            if not each.get("verified") and self._texts.knows(source.get("path", "")):
                each["verified"] = True
                each.pop("message", None)


def _cut(body: Message, name: str) -> None:
    """Cut the text of a value, and say so."""
    text = body.get(name)
    if isinstance(text, str) and len(text) > MOST_TEXT:
        more = len(text) - MOST_TEXT
        body[name] = f"{text[:MOST_TEXT]}… {more:,} more characters are left out"
