"""Stops waited for, and entered by a script."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import Any

from watching import wait_until

import dbgkit
from dbgkit.cluster.live import who_am_i
from dbgkit.cluster.shipping import live_name
from dbgkit.cluster.talk import Talk
from dbgkit.debugger.live import Ended, Prompt
from dbgkit.source.stopped import Stopped


class Script:
    """Types lines; what is no text is called. After the last it waits for the end."""

    def __init__(self, lines: Any) -> None:
        self.lines = list(lines)

    def read(self, prompt: Any, complete: Any) -> Any:
        while self.lines:
            line = self.lines.pop(0)
            if isinstance(line, str):
                return line
            line()
        raise EOFError


class Heard(Prompt):
    """A prompt whose output is kept."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.said = ""

    def put(self, text: Any) -> None:
        self.said += text


class Session:
    """An entered stop."""

    def __init__(self, client: Any, stop: Any, who: Any = None) -> None:
        who = who or who_am_i(client)
        self.talk = Talk(client, stop.worker, stop.id, who, 10)
        self.ended: Any = None
        self.prompt = Heard(self.talk, Script(()), Stopped().text, lambda _: "")

    def type(self, *lines: Any) -> Any:
        """Type lines; what is said until the next prompt, or the end."""
        self.prompt.said = ""
        for line in lines:
            self._until_prompt()
            if self.ended is None:
                self._send(line)
        self._until_prompt()
        return self.prompt.said

    def _send(self, line: Any) -> None:
        asked = self._asked
        self._asked = None
        if asked["op"] == "input":
            self.talk.send("input", text=line)
        else:
            self._sent += 1
            self.talk.send("do", line=line)

    def hear(self, text: Any) -> None:
        """Wait until something is said, while what was typed runs on."""
        while text not in self.prompt.said:
            self._take(self.talk.next(20.0))

    _asked: Any = None
    _sent = 0

    def _until_prompt(self, limit: float = 20.0) -> None:
        while self._asked is None and self.ended is None:
            self._take(self.talk.next(limit))

    def _take(self, message: Any) -> None:
        if message["op"] in ("prompt", "input"):
            if message.get("answered", self._sent) >= self._sent:
                self._asked = message
        else:
            self.ended = self.prompt._take(message) or self.ended

    def close(self) -> None:
        self.talk.close()


@contextmanager
def entered(client: Any, stop: Any, who: Any = None) -> Any:
    """A session, which is left at the end."""
    session = Session(client, stop, who)
    try:
        yield session
    finally:
        session.close()


def enter(client: Any, stop: Any, *lines: Any) -> Any:
    """Enter a stop and type lines; what was said, and how it ended: None: not yet."""
    with entered(client, stop) as session:
        said = session.type(*lines)
        ended: Ended | None = session.ended
    if ended is not None and ended.how not in ("detached", "refused", "lost"):
        gone(client, stop)
    return said, ended and ended.how


def gone(client: Any, stop: Any) -> None:
    """Wait until a stop that is over is no longer listed."""

    def look() -> Any:
        return stop.id not in [each.id for each in dbgkit.attach(client=client)]

    wait_until(look, f"{stop.key} no longer waits")


def waiting(client: Any, number: int = 1, **options: Any) -> Any:
    """What waits, once so many tasks do."""

    def look() -> Any:
        found = dbgkit.attach(client=client, **options)
        return found if len(found) == number else None

    return wait_until(look, f"{number} wait at a breakpoint")


def stop_of(client: Any, key: Any) -> Any:
    """The stop of a task, once it is there."""

    def look() -> Any:
        found = [e for e in dbgkit.attach(client=client) if e.key == key]
        return found[0] if found else None

    return wait_until(look, f"{key} waits at a breakpoint")


@contextmanager
def stopped(client: Any, key: Any, task: Any, *args: Any) -> Any:
    """A task that waits, and its future: it goes on at the end, if it has not."""
    future = client.submit(task, *args, key=key, pure=False)
    found = stop_of(client, key)
    found.__dict__["future"] = future
    yield found
    if not future.done():
        enter(client, found, "c")


def leftovers(dask_worker: Any) -> Any:
    """What a live session leaves on a worker while it is on; runs there."""
    import bdb
    import sys
    import threading

    with suppress(AttributeError):
        hook = type(sys.breakpointhook).__name__
    return {
        "hook": hook,
        "plugins": [name for name in dask_worker.plugins if "dbgkit-live" in name],
        "handlers": [name for name in dask_worker.handlers if "dbgkit-live" in name],
        "breakpoints": len([b for b in bdb.Breakpoint.bpbynumber if b]),
        "threads": [t.name for t in threading.enumerate() if t.name == "dbgkit-attach"],
    }


def of_scheduler(dask_scheduler: Any) -> Any:
    """The same on a scheduler."""
    return [
        name
        for held in (
            dask_scheduler.plugins,
            dask_scheduler.handlers,
            dask_scheduler.worker_plugins,
        )
        for name in held
        if "dbgkit-live" in str(name)
    ]


NOTHING = {
    "hook": "builtin_function_or_method",
    "plugins": [],
    "handlers": [],
    "breakpoints": 0,
    "threads": [],
}


def nothing_left(client: Any) -> None:
    """Wait until nothing of any live session is left on a cluster."""

    found: list[Any] = []

    def look() -> Any:
        found[:] = client.run(leftovers).values()
        return all(each == NOTHING for each in found)

    try:
        wait_until(look, "workers are as before")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None
    wait_until(lambda: not client.run_on_scheduler(of_scheduler), "so is the scheduler")


def plugin_of(dask_worker: Any) -> Any:
    """The worker's part; for functions that run there."""
    return dask_worker.plugins[live_name()]
