"""Answers that came along with others, before their question was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Foreseen:
    """Questions that a scheduler answered unasked, see ``remote.scheduler.foresight``.

    Each answer is given once: whoever asks again wants the current state.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[str, Any, Any]] = []

    def keep(self, answers: Iterable[tuple[str, Any, Any]]) -> None:
        """Keep verbs, questions and answers."""
        self._kept.extend(answers)

    def take(self, verb: str, question: Any) -> tuple[bool, Any]:
        """Whether there is an answer to a question, and the answer."""
        wanted = _plain(question)
        for index, (other, asked, answer) in enumerate(self._kept):
            if other == verb and _plain(asked) == wanted:
                del self._kept[index]
                return True, answer
        return False, None


def _plain(question: Any) -> Any:
    """A question in comparable form: in transit, lists become tuples."""
    if isinstance(question, Mapping):
        return {name: _plain(value) for name, value in question.items()}
    if isinstance(question, (list, tuple)):
        return tuple(map(_plain, question))
    return question
