"""The state of a cluster to ask questions of: live, or read from a dump.

The same functions of ``dbgkit.remote`` answer either way: inside the scheduler,
through the extension, or here, over what a dump holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, overload

from dbgkit import advice
from dbgkit.cluster.clients import client_of
from dbgkit.cluster.link import Link
from dbgkit.errors import NoFailure, WrongTarget
from dbgkit.remote.common.texts import with_article

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import Foresee
    from dbgkit.remote.common.wire_deaths import DeathsForm, DeathsQuestion
    from dbgkit.remote.common.wire_failures import Failures, FailuresQuestion
    from dbgkit.remote.common.wire_peek import Running, RunningQuestion
    from dbgkit.remote.common.wire_tasks import (
        Around,
        AroundQuestion,
        Counts,
        DoctorQuestion,
        Examined,
        StoryForm,
        StoryQuestion,
        Tasks,
        TasksQuestion,
        Workers,
    )
    from dbgkit.remote.common.wire_why import Why, WhyQuestion
    from dbgkit.remote.common.wire_why_waits import WaitsForm, WaitsQuestion


class _Asked:
    """What both views are asked: the questions of ``remote.scheduler.extension``."""

    @overload
    def ask(self, verb: Literal["tasks"], question: TasksQuestion) -> Tasks: ...
    @overload
    def ask(self, verb: Literal["counts"], question: TasksQuestion) -> Counts: ...
    @overload
    def ask(self, verb: Literal["workers"], question: TasksQuestion) -> Workers: ...
    @overload
    def ask(self, verb: Literal["running"], question: RunningQuestion) -> Running: ...
    @overload
    def ask(self, verb: Literal["around"], question: AroundQuestion) -> Around: ...
    @overload
    def ask(self, verb: Literal["story"], question: StoryQuestion) -> StoryForm: ...
    @overload
    def ask(self, verb: Literal["doctor"], question: DoctorQuestion) -> Examined: ...
    @overload
    def ask(self, verb: Literal["deaths"], question: DeathsQuestion) -> DeathsForm: ...
    @overload
    def ask(self, verb: Literal["waits"], question: WaitsQuestion) -> WaitsForm: ...
    @overload
    def ask(
        self,
        verb: Literal["failures"],
        question: FailuresQuestion,
        foresee: Foresee | None = None,
    ) -> Failures: ...
    @overload
    def ask(
        self,
        verb: Literal["why"],
        question: WhyQuestion,
        foresee: Foresee | None = None,
    ) -> Why: ...
    def ask(self, verb: str, question: Any, foresee: Foresee | None = None) -> Any:
        """Ask one question; one call to a live scheduler, none for a dump.

        With ``foresee``, a scheduler also answers what will be asked next: see
        ``Link.question``.
        """
        return self._answer(verb, question, foresee)

    def _answer(self, verb: str, question: Any, foresee: Foresee | None) -> Any:
        raise NotImplementedError


class LiveView(_Asked):
    """A cluster that a client reaches; ``link`` is for other questions."""

    live = True

    def __init__(self, link: Link) -> None:
        self.link = link

    @property
    def client(self) -> Any:
        return self.link.client

    def _answer(self, verb: str, question: Any, foresee: Foresee | None) -> Any:
        return self.link.question(verb, question, foresee)


class DumpView(_Asked):
    """What ``Client.dump_cluster_state`` wrote."""

    live = False
    client = None

    def __init__(self, path: Any) -> None:
        from dbgkit.cluster.dumps import read_dump

        self.state = read_dump(path)

    def _answer(self, verb: str, question: Any, foresee: Foresee | None) -> Any:
        from dbgkit.remote.scheduler.extension import QUESTIONS

        return _finish(QUESTIONS[verb](self.state, question))


View = LiveView | DumpView


@contextmanager
def open_view(view: Any, client: Any, timeout: float) -> Iterator[View]:
    """The view given by ``view=`` (a dump's path, or a view) and ``client=``.

    `DumpUnreadable` for another file; `NoFailure` if there is no cluster to ask.
    """
    if view is not None:
        if client is not None:
            dump, cluster = advice.option("view"), advice.option("client")
            raise WrongTarget(
                f"{dump} and {cluster} were both given",
                f"leave one out: {dump} reads a dump, {cluster} asks a cluster",
            )
        if not isinstance(view, (LiveView, DumpView)):
            _check_path(view)
            view = DumpView(view)
        yield view
        return
    with client_of(client, timeout) as found:
        if found is None:
            raise NoFailure(
                "there is no cluster to look at",
                f"connect a distributed.Client, or use {advice.option('client')} or "
                f"{advice.option('view')} with a dump's path",
            )
        yield LiveView(Link(found, timeout))


def _check_path(view: Any) -> None:
    """Raise `WrongTarget` for what is clearly no path of a dump."""
    name, cluster = advice.option("view"), advice.option("client")
    if not isinstance(view, (str, os.PathLike)):
        what = with_article(type(view).__name__)
        hint = f"{cluster} asks a cluster"
        raise WrongTarget(f"{name} takes the path of a dump, not {what}", hint)
    text = os.fspath(view)
    if not text:
        raise WrongTarget(f"{name} is empty", "pass the path of a dump")
    if isinstance(text, str) and re.match(
        r"(tcp|tls|ucx|wss?|inproc|gateway)://", text
    ):
        hint = f"pass it as {cluster}"
        raise WrongTarget(f"{text!r} is an address, not the path of a dump", hint)


def _finish(answering: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that only ever yields to its event loop, without one.

    In Jupyter a loop runs already, and ``asyncio.run`` would refuse.
    """
    while True:
        try:
            answering.send(None)
        except StopIteration as done:
            answer: Any = done.value
            return answer
