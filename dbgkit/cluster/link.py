"""One conversation with one cluster: questions to its scheduler, and answers."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.answers import read_answer
from dbgkit.cluster.calls import Calls
from dbgkit.cluster.extension import ask_extension
from dbgkit.cluster.foreseen import Foreseen
from dbgkit.cluster.shipping import deaths_name, recorder_name

if TYPE_CHECKING:
    from distributed import Client

    from dbgkit.remote.common.wire import AnyQuestion, Foresee
    from dbgkit.remote.common.wire_failures import Visit

PATIENCE = 2.0  # seconds for who failed first of a collective to be heard of
FRESH = 5.0  # seconds for which an answer that came along holds
RECORDED_BYTES = 32_000_000  # of recordings that come along with a visit


class Link(Calls):
    """Asks one cluster, from outside of its event loop; nothing there is changed.

    `notes` say how data came here; `foreseen` has answers that came before their
    questions.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        super().__init__(client, timeout)
        self.notes: list[str] = []
        self.foreseen = Foreseen()

    def visit(self, **question: Any) -> Visit:
        """One visit to the scheduler: ``remote.scheduler.extension.Extension.visit``.

        A replay's visit brings what it will ask the recorder for, to be `expect`-ed.

        Cost: one call of 0.5 ms.
        """
        question.setdefault("patience", min(PATIENCE, self.timeout / 4))
        question["deaths"] = deaths_name()
        if question.get("specs") or "recordings_of" in question:
            question["foresee"] = {
                "recorder": recorder_name(),
                "nbytes": RECORDED_BYTES,
                "key": question.pop("recordings_of", None),
            }
        answer: Visit = self.answer("visit", question)
        answer["arrived"] = monotonic()
        answer["scheduler"] = self._connection.scheduler
        return answer

    def progress(self, keys: Iterable[Any]) -> dict[str, int]:
        """How many of some keys are in which state."""
        counts: dict[str, int] = self.answer("progress", {"keys": list(keys)})
        return counts

    def question(
        self,
        verb: str,
        question: AnyQuestion,
        foresee: Foresee | None = None,
    ) -> Any:
        """One of ``remote.scheduler.extension.QUESTIONS``, answered over there.

        With ``foresee``, the scheduler answers what will be asked next as well, which
        then costs nothing: see ``remote.scheduler.foresight``.
        """
        found, answer = self.foreseen.take(verb, question)
        if found:
            return dict(read_answer(verb, question, answer))
        asked: Any = {"verb": verb, "question": dict(question)}
        if foresee is not None:
            asked["foresee"] = dict(foresee)
        said = self.call(self._ask, "ask", asked, what="the scheduler's answer")
        answer = dict(read_answer(verb, question, said))
        self._keep_foreseen(answer.pop("foreseen", ()))
        return answer

    def expect(self, visit: Visit) -> None:
        """Take the answers that came along with a visit, unless that was long ago."""
        if monotonic() - visit.get("arrived", -FRESH) < FRESH:
            self._keep_foreseen(visit.get("foreseen", ()))

    def _keep_foreseen(self, answers: Any) -> None:
        """Keep answers that came along; each is read once it is asked for."""
        self.foreseen.keep(read_answer("foreseen", {}, answers))

    def answer(self, verb: str, question: AnyQuestion, **options: Any) -> Any:
        """The extension's answer, checked; ``options`` are those of `call`."""
        options.setdefault("what", "the scheduler's answer")
        answer = self.call(self._ask, verb, question, **options)
        return read_answer(verb, question, answer)

    async def _ask(self, verb: str, question: AnyQuestion) -> Any:
        return await ask_extension(self.client, verb, question)
