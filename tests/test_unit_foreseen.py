"""Answers that came along are given once, to the very question."""

from __future__ import annotations

from dbgkit.cluster.foreseen import Foreseen
from dbgkit.remote.scheduler.foresight import workers_to_ask


def kept(*answers):
    found = Foreseen()
    found.keep(answers)
    return found


def test_each_answer_is_given_once():
    foreseen = kept(("around", {"key": "x"}, 1))
    assert foreseen.take("around", {"key": "x"}) == (True, 1)
    assert foreseen.take("around", {"key": "x"}) == (False, None)


def test_lists_that_became_tuples_on_the_way_are_the_same_question():
    came = {"tasks": ({"key": ("x", 0), "chain": (("x", 0),)},), "limit": 40}
    asked = {"tasks": [{"key": ("x", 0), "chain": [("x", 0)]}], "limit": 40}
    assert kept(("around", came, "there")).take("around", asked) == (True, "there")


def test_other_questions_are_not_answered():
    foreseen = kept(("recorder", {"keys": ["x"]}, 1), ("deaths", {"keys": ["x"]}, None))
    assert foreseen.take("recorder", {"keys": ["x", "y"]}) == (False, None)
    assert foreseen.take("around", {"keys": ["x"]}) == (False, None)
    # That there is nothing is an answer.
    assert foreseen.take("deaths", {"keys": ["x"]}) == (True, None)


def test_workers_that_do_not_answer_the_scheduler_are_not_asked():
    answer = {
        "ends": [
            {"code": "processing", "key": "x", "worker": "a"},
            {"code": "queued", "key": "y", "places": [{"worker": "b"}]},
            {"code": "failed", "key": "z"},
        ],
        "may_run_it": ["c"],
        "unknown": [{"key": "gone"}],
        "answering": {"a": True, "b": False, "c": True},
        "cluster": None,
    }
    assert workers_to_ask(answer, True) == {"a": ["x"], "c": ["gone"]}
    # In a dump, what is not said to be silent has told.
    answer["answering"] = {"b": False}
    assert workers_to_ask(answer, False) == {"a": ["x"], "c": ["gone"]}
