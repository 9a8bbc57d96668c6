"""What the scheduler answers: a result, or one clear error, whatever it is."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from distributed import Client, Event, LocalCluster, wait
from distributed.protocol import Serialize
from fuzzing import GONE, WRONG, bounded, examples, places, with_wrong
from hypothesis import given
from hypothesis import strategies as st
from tasks import boom
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.api.record_settings import configured
from dbgkit.api.watch import glance
from dbgkit.cluster import deaths
from dbgkit.cluster.answers import ANSWERS, PARTS, read_answer
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import switch_off, switch_on
from dbgkit.cluster.view import open_view
from dbgkit.diagnose.why import explain as why
from dbgkit.errors import AnswerUnreadable, DbgkitError, InputLost
from dbgkit.frontends.cli.looking import as_json
from dbgkit.model import WorkerLoad
from dbgkit.model.display import Displayed
from dbgkit.remote.common.texts import visible
from dbgkit.remote.scheduler.extension import QUESTIONS, VERBS
from dbgkit.render.workers import view_workers

TOKENS = []  # of uses of the recorder that go on

LOOKS = {
    "failures": lambda client: dbgkit.failures(client=client),
    "tasks": lambda client: dbgkit.tasks(client=client),
    "glance": lambda client: looked_at(client),
    "workers": lambda client: loaded(client),
    "why": lambda client: dbgkit.why(client=client),
    "why-cascaded": lambda client: dbgkit.why("after-1", client=client),
    "why-running": lambda client: dbgkit.why("held-0", client=client),
    "why-queued": lambda client: dbgkit.why("held-9", client=client),
    "why-resources": lambda client: dbgkit.why("gpu-1", client=client),
    "why-restrictions": lambda client: dbgkit.why("far-1", client=client),
    "why-unknown": lambda client: dbgkit.why("nowhere-1", client=client),
    "peek": lambda client: dbgkit.peek(client=client),
    "peek-one": lambda client: dbgkit.peek("held-0", client=client),
    "story": lambda client: dbgkit.story("bad-1", client=client),
    "doctor": lambda client: dbgkit.doctor(client=client),
    "deaths": lambda client: dbgkit.deaths(client=client),
    "recordings": lambda client: dbgkit.recordings(client=client),
    "record": lambda client: switched(client),
    "locate": lambda client: dbgkit.locate("bad-1", client=client),
    "replay": lambda client: dbgkit.replay("bad-1", client=client, dry_run=True),
    "replay-worker": lambda client: dbgkit.replay(
        "bad-1", client=client, where="worker", dry_run=True
    ),
}


def looked_at(client):
    with open_view(None, client, 30.0) as view:
        return glance(view)


def loaded(client):
    """The workers of a report."""
    with open_view(None, client, 30.0) as view:
        found = view.ask("workers", {"limit": 10})
    loads = list(map(WorkerLoad.from_wire, found["rows"]))
    return SimpleNamespace(shown=view_workers(loads, found["omitted"]))


def switched(client):
    """Turned on once more, and off again; another use of it goes on."""
    link = Link(client, 30.0)
    on = switch_on(link, {}, configured(), "answers")
    off = switch_off(link, TOKENS, orphans=False)
    return SimpleNamespace(
        **asdict(on), **{f"off_{k}": v for k, v in asdict(off).items()}
    )


def hold(index):
    return Event("answers-go").wait(60)


@pytest.fixture(scope="module")
def told():
    """A client, and by look and question what a scheduler has answered."""
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
        dbgkit.record(client=client) as recorder,
    ):
        TOKENS.append(recorder._token)
        kept = client.submit(len, "abc", key="kept-1")
        bad = client.submit(boom, kept, key="bad-1", retries=1)
        after = client.submit(len, bad, key="after-1")
        other = client.submit(boom, 2, key=("bad", 2))
        wait([kept, after, other])
        client.retire_workers([sorted(client.scheduler_info()["workers"])[-1]])
        waiting = [
            client.submit(len, "a", key="gpu-1", resources={"GPU": 1}),
            client.submit(len, "b", key="far-1", workers=["tcp://192.0.2.1:1"]),
            *client.map(hold, range(10), key=[f"held-{i}" for i in range(10)]),
        ]
        wait_until(
            lambda: len(dbgkit.tasks(client=client, state="processing").rows) >= 2,
            "some are held",
        )
        try:
            yield client, {name: heard_in(client, look) for name, look in LOOKS.items()}
        finally:
            Event("answers-go").set()
            wait(waiting[2:])


def heard_in(client, look):
    """What is answered to the questions of one look, as it comes over a wire."""
    heard, ask = {}, Link._ask

    async def listen(link, verb, question):
        answer = await ask(link, verb, question)
        heard[named(verb, question)] = plain(answer)
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Link, "_ask", listen)
        look(client)
    return heard


def named(verb, question):
    if verb != "ask":
        return verb
    asked = question["verb"]
    return f"recorder {question['question']['verb']}" if asked == "recorder" else asked


def plain(value):
    if isinstance(value, Serialize):
        return plain(value.data)
    if isinstance(value, Mapping):
        return {plain(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return value


def answered(client, look, answers):
    """What a look comes to if that is answered; an error of ours is a result too."""
    ask = Link._ask

    async def answer(link, verb, question):
        name = named(verb, question)
        if name in answers:
            return copy.deepcopy(answers[name])
        return await ask(link, verb, question)  # it came along, and does not now

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Link, "_ask", answer)
        patched.setattr(why, "PAUSE", 0.0)
        patched.setattr(deaths, "REPORT_AFTER", 0.01)
        patched.setattr(deaths, "PAUSE", 0.0)
        try:
            result = look(client)
        except DbgkitError as error:
            assert str(error).isprintable()
            return error
    assert_shown(result)
    return result


def assert_shown(result):
    """Each way to show it says what it says in characters that can be seen."""
    if isinstance(result, SimpleNamespace):
        return
    shown = [str(result), render.to_html(result)]
    if type(result).__str__ is not Displayed.__str__:  # which is `to_text`
        shown.append(render.to_text(result))
    for text in shown:
        assert visible(text) == text
    if hasattr(result, "to_json"):
        assert json.loads(as_json(result.to_json()))


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_scheduler_answered_is_read_whole(told, name):
    client, heard = told
    assert heard[name]
    result = answered(client, LOOKS[name], heard[name])
    assert not isinstance(result, DbgkitError)


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_scheduler_answers_may_have_anything_anywhere(told, name):
    client, heard = told
    where = [
        (question, place)
        for question, answer in heard[name].items()
        for place in [(), *places(answer)]
    ]

    @examples(200)
    @given(st.sampled_from(where), WRONG)
    def try_one(at, wrong):
        question, place = at
        answers = dict(heard[name])
        answers[question] = with_wrong(answers[question], place, wrong)
        with bounded(30.0):
            answered(client, LOOKS[name], answers)

    try_one()


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_not_known_yet_is_of_no_concern(told, name):
    client, heard = told
    answers = {question: with_more(answer) for question, answer in heard[name].items()}
    assert not isinstance(answered(client, LOOKS[name], answers), DbgkitError)


# Their names are prefixes, states, packages, addresses.
NAMES = {
    *("answering", "asked_states", "counts", "lacks", "near", "packages", "scheduler"),
    *("resources", "states", "settings", "summary", "without", "broken"),
    *("worker_settings", "workers"),
}


def with_more(value, name=""):
    """With a field more in each record; what has names of its own stays as it is."""
    if isinstance(value, dict) and name not in NAMES:
        parts = {key: with_more(part, key) for key, part in value.items()}
        records = all(map(str.isidentifier, map(str, value)))
        return {**parts, "more_": [{}]} if value and records else parts
    if isinstance(value, tuple):
        return tuple(with_more(part) for part in value)
    return value


def test_each_question_has_its_answer_declared():
    verbs = {*VERBS, *QUESTIONS} - {"ask", "remove", *PARTS}
    verbs -= {"leases"}  # which workers ask
    assert verbs | {"foreseen"} == {name for name in ANSWERS if " " not in name}


def test_an_unreadable_answer_says_what_is_wrong_and_what_to_do(told):
    client, heard = told
    answer = with_wrong(heard["failures"]["failures"], ("groups", 0, "count"), "x")
    error = answered(client, LOOKS["failures"], {"failures": answer})
    assert type(error) is AnswerUnreadable
    assert (
        "answer to 'failures' cannot be read: groups[0].count is 'x', not a whole"
        in (error.message)
    )
    assert "get_versions" in error.hint and dbgkit.__version__ in error.hint
    with pytest.raises(AnswerUnreadable, match=r"tasks\[0\]\.state is missing"):
        read_answer("visit", {}, {**heard["locate"]["visit"], "tasks": ({"key": 1},)})


def test_what_is_missing_of_an_answer_is_told(told):
    client, heard = told
    cases = {
        "locate": ("visit", ("asked", 0), "asked is shorter"),
        "why": ("why", ("cluster",), "cluster is missing"),
    }
    for name, (question, place, said) in cases.items():
        answer = with_wrong(heard[name][question], place, GONE)
        error = answered(client, LOOKS[name], {**heard[name], question: answer})
        assert type(error) is AnswerUnreadable and said in str(error)


def test_tasks_that_lead_to_a_failure_may_be_missing(told):
    client, heard = told
    visit = heard["replay"]["visit"]
    at = {row["key"]: index for index, row in enumerate(visit["tasks"])}
    without = with_wrong(visit, ("tasks", at["bad-1"]), GONE)
    error = answered(client, LOOKS["replay"], {"visit": without})
    assert type(error) is AnswerUnreadable and "tasks lacks 'bad-1'" in str(error)
    without = with_wrong(visit, ("tasks", at["kept-1"]), GONE)
    error = answered(client, LOOKS["replay"], {"visit": without})
    assert type(error) is InputLost and "'kept-1'" in str(error)


def test_a_death_that_nobody_can_read_is_counted(told):
    client, heard = told
    answer = with_wrong(heard["deaths"]["deaths"], ("deaths", 0, "when"), "x")
    found = answered(client, LOOKS["deaths"], {"deaths": answer})
    assert not found.deaths
    assert any("could not be read" in note for note in found.notes)


def test_a_worker_whose_answer_is_none_is_told_apart_from_a_silent_one(told):
    client, heard = told
    said = heard["doctor"]["run"]
    first, second = said
    answers = {**heard["doctor"]}
    answers["run"] = {
        first: {"status": "OK", "result": {"pid": "x"}},
        second: {"status": "silent"},
    }
    found = answered(client, LOOKS["doctor"], answers)
    (workers,) = [each for each in found.findings if each.check == "workers"]
    assert workers.evidence == (f"worker {second}: did not answer",)
    assert any(f"the answer of worker {first} cannot be read" in n for n in found.notes)


@pytest.mark.parametrize("wrong", [-1, 2**64, "x", True, 1.5, GONE, ["x"]])
def test_of_many_rows_the_wrong_one_is_told(told, wrong):
    _, heard = told
    answer = heard["tasks"]["tasks"]
    many = {**answer, "rows": answer["rows"] * 100}
    assert read_answer("tasks", {}, many) is many
    odd = with_wrong(many, ("rows", 77, "dependents"), wrong)
    with pytest.raises(AnswerUnreadable, match=r"rows\[77\]\.dependents is "):
        read_answer("tasks", {}, odd)


def test_numbers_of_numpy_are_numbers_too(told):
    np = pytest.importorskip("numpy")
    _, heard = told
    sizes = np.int64(28), np.float64(1.5), np.int64(-(2**40))
    for size in sizes:  # as they are within a process
        place = ("rows", 0, "nbytes")
        assert read_answer(
            "tasks", {}, with_wrong(heard["tasks"]["tasks"], place, size)
        )
