"""What a scheduler keeps of failures that tasks of tasks led to, and what it costs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from dask._task_spec import Task, TaskRef
from distributed import Scheduler
from distributed.scheduler import ErredTask

from dbgkit.remote.common import pacing
from dbgkit.remote.common.origins import _LINKS, origins_of
from dbgkit.remote.common.pacing import Pace
from dbgkit.remote.scheduler import inner_table, origins
from dbgkit.remote.scheduler.failures import survey_failures
from dbgkit.remote.scheduler.failures_index import ErredIndex
from dbgkit.remote.scheduler.inner import follow
from dbgkit.remote.scheduler.origins import CameFrom

INNER = '  File "/jobs/parse.py", line 3, in parse\n    return 1 / x\n'
OUTER = (
    '  File "/jobs/outer.py", line 7, in outer\n    return future.result()\n'
    '  File "/env/distributed/client.py", line 402, in result\n    raise exc\n'
)


class Failures:
    """Tasks that fail on a scheduler, in the order in which they are added."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.index = ErredIndex()
        self.index.complete = True
        self.now = 0.0

    def fail(self, key, text, *, waited=False):
        ts = self.scheduler.tasks.get(key)
        if ts is None:
            ts = self.scheduler.new_task(key, None, "released")
        ts.state = "erred"
        ts.exception_text = f"ValueError({text!r})"
        ts.traceback_text = OUTER + INNER if waited else INNER
        ts.priority = (0, 1, 0) if waited else (0, 0.99, 0)
        ts.exception_blame = ts
        self.now += 1.0
        self.index.add(ts, self.now)
        entry = ErredTask(key, self.now, set(), ts.exception_text, ts.traceback_text)
        self.scheduler.erred_tasks.appendleft(entry)

    def pair(self, number, text="no"):
        self.fail(f"inner-{number}", text)
        self.fail(f"outer-{number}", text, waited=True)

    def mend(self, key):
        ts = self.scheduler.tasks[key]
        ts.state = "memory"
        ts.exception_blame = ts.exception_text = ts.traceback_text = None
        self.index.drop(key)

    def forget(self, key):
        self.index.drop(key)
        self.scheduler.tasks.pop(key)

    async def counted_anew(self):
        """The same by an index that knows nothing from before, but the times."""
        known = ErredIndex()
        known.complete = known.dated = True
        for name in ("blame", "members", "when", "healed"):
            setattr(known, name, dict(getattr(self.index, name)))
        answer = await survey_failures(self.scheduler, {}, known)
        return totals(answer)

    async def totals(self):
        return totals(await survey_failures(self.scheduler, {}, self.index))

    async def led_to(self, key):
        """The task that a failure is followed into, and how many it may have been."""
        ts = self.scheduler.tasks[key]
        when = self.index.when[key]
        found = await follow(self.scheduler, self.index, [], [(ts, when)], Pace())
        return found[0].ts.key, found[0].alike


def totals(answer):
    groups = [
        (each["count"], each["cascaded"], each["forgotten"], each["keys"])
        for each in answer["groups"]
    ]
    return answer["total"], answer["cascaded"], groups


@asynccontextmanager
async def failures():
    async with Scheduler(port=0, dashboard_address=":0") as scheduler:
        yield Failures(scheduler)


def test_where_nothing_was_submitted_nothing_is_kept():
    async def check():
        async with failures() as jobs:
            for number in range(3):
                jobs.fail(f"inner-{number}", "no")
            assert (await jobs.totals())[:2] == (3, 0)
            assert jobs.index.submitted is jobs.index.fresh is None
            assert not jobs.index.led

    asyncio.run(check())


def test_the_table_is_kept_and_extended_by_what_failed_since():
    async def check():
        async with failures() as jobs:
            for number in range(3):
                jobs.pair(number)
            assert (await jobs.totals())[:2] == (3, 3)
            table, size = jobs.index.submitted, jobs.index.submitted.size
            assert size == 6 and jobs.index.fresh == []
            # WHEN another one fails
            jobs.pair(3)
            assert jobs.index.fresh == ["inner-3", "outer-3"]
            # THEN the same table tells of it too
            assert (await jobs.totals())[:2] == (4, 4)
            assert jobs.index.submitted is table and table.size == size + 2
            assert await jobs.led_to("outer-3") == ("inner-3", 4)
            assert await jobs.led_to("outer-1") == ("inner-1", 2)

    asyncio.run(check())


def change_nothing(jobs):
    pass


def mend_an_inner_one(jobs):
    jobs.mend("inner-1")


def forget_an_inner_one(jobs):
    jobs.forget("inner-2")


def forget_an_outer_one(jobs):
    jobs.forget("outer-2")


def run_an_inner_one_again(jobs):
    jobs.mend("inner-1")
    jobs.fail("inner-1", "no")


def fail_otherwise(jobs):
    jobs.mend("inner-1")
    jobs.fail("inner-1", "something else")


def mend_all_and_fail_again(jobs):
    for number in range(4):
        jobs.mend(f"inner-{number}")
        jobs.mend(f"outer-{number}")
        jobs.pair(number, "again")


def forget_one_that_another_fell_by(jobs):
    fallen = jobs.scheduler.new_task("fallen", None, "released")
    fallen.state = "erred"
    fallen.exception_blame = jobs.scheduler.tasks["inner-3"]
    jobs.index.add(fallen)
    jobs.forget("inner-3")


def another_text(jobs):
    jobs.pair(9, "a new one")


def one_in_another(jobs):
    jobs.fail("outermost", "no", waited=True)
    jobs.scheduler.tasks["outermost"].traceback_text = OUTER + OUTER + INNER


@pytest.mark.parametrize(
    "change",
    [
        change_nothing,
        mend_an_inner_one,
        forget_an_inner_one,
        forget_an_outer_one,
        run_an_inner_one_again,
        fail_otherwise,
        mend_all_and_fail_again,
        forget_one_that_another_fell_by,
        another_text,
        one_in_another,
    ],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize("most", [None, 3], ids=["kept", "too many to keep"])
def test_what_is_kept_tells_what_a_new_look_tells(change, most, monkeypatch):
    if most is not None:
        monkeypatch.setattr(ErredIndex, "most_noted", most)

    async def check():
        async with failures() as jobs:
            for number, text in enumerate(("no", "no", "no", "of its own")):
                jobs.pair(number, text)
            first = await jobs.totals()
            assert first[:2] == (4, 4)
            assert await jobs.totals() == first
            change(jobs)
            for _ in range(2):
                assert await jobs.totals() == await jobs.counted_anew()
            assert (jobs.index.submitted is None) == (most is not None)

    asyncio.run(check())


def test_what_failed_meanwhile_is_bounded(monkeypatch):
    monkeypatch.setattr(ErredIndex, "most_noted", 16)

    async def check():
        async with failures() as jobs:
            jobs.pair(0)
            await jobs.totals()
            table = jobs.index.submitted
            for number in (*range(1, 8), 1, 2):  # two of them twice
                jobs.pair(number)
            assert jobs.index.fresh is None
            # THEN it is made anew, with all of them
            assert (await jobs.totals())[:2] == (8, 8)
            assert jobs.index.submitted is not table
            assert jobs.index.fresh == []

    asyncio.run(check())


def test_what_is_gone_does_not_stay(monkeypatch):
    monkeypatch.setattr(inner_table, "_MOST_GONE", 10)

    async def check():
        async with failures() as jobs:
            for _ in range(20):
                for number in range(4):
                    jobs.pair(number)
                assert (await jobs.totals())[:2] == (4, 4)
                assert jobs.index.submitted.size <= 2 * 8 + 10 + 8
                assert len(jobs.index.led) <= 4

    asyncio.run(check())


def test_questions_at_the_same_time_share_it():
    async def check():
        async with failures() as jobs:
            for number in range(300):
                jobs.pair(number, f"no {number % 7}")
            asked = [jobs.totals() for _ in range(4)]
            answers = await asyncio.gather(*asked, jobs.led_to("outer-299"))
            assert [each[:2] for each in answers[:4]] == [(300, 300)] * 4
            assert answers[4][0] == "inner-299"

    asyncio.run(check())


def test_a_question_that_is_broken_off_leaves_no_half_table(monkeypatch):
    monkeypatch.setattr(pacing, "PAUSE", 0.0)  # each slice is a turn of the loop

    async def check():
        async with failures() as jobs:
            for number in range(200):
                jobs.pair(number, f"no {number}")
            asked = asyncio.ensure_future(jobs.totals())
            while jobs.index.submitted is None or not jobs.index.submitted.size:
                await asyncio.sleep(0)
            assert asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert (await jobs.totals())[:2] == (200, 200)

    asyncio.run(asyncio.wait_for(check(), 30))


# -- where values came from ------------------------------------------------------------


def take(*parts):
    return parts


def test_arguments_that_are_looked_at_are_bounded():
    # GIVEN a call of hundreds of calls of hundreds of literals
    asked = []

    def spec_of(key):
        asked.append(key)
        return Task(key, take, *range(400))

    top = Task("top", take, *(TaskRef(f"part-{number}") for number in range(400)))
    found = origins_of("top", top, spec_of)
    assert 2 < len(asked) <= _LINKS // 400 + 1
    assert found[-1]["least"]


async def mapped(scheduler, count):
    """Tasks as of a `Client.map` under ``pure=False``."""
    name = "load-00000000-0000-0000-0000-000000000000"
    made = []
    for number in range(count):
        key = f"{name}-{number}"
        ts = scheduler.new_task(key, Task(key, take, number), "released")
        ts.priority = (0, 1, number)
        made.append(ts)
    return made


def index_of(wires):
    return [wire["place"] for wire in wires if wire["what"] == "client.map"]


def test_indices_of_a_map_take_one_pass_for_an_answer(monkeypatch):
    passes = []
    emptied = origins.emptied

    def counting(elements, pace):
        passes.append(len(elements))
        return emptied(elements, pace)

    monkeypatch.setattr(origins, "emptied", counting)

    async def check():
        async with Scheduler(port=0, dashboard_address=":0") as scheduler:
            made = await mapped(scheduler, 3_000)
            values = CameFrom(scheduler, Pace())
            told = [index_of(await values.of(ts)) for ts in made[1_990:2_010]]
            assert told == [[f"index {number:,}"] for number in range(1_990, 2_010)]
            assert passes == [3_000]
            # AND where one is of another submission it is certain of that one alone
            made[5].priority = (0, 2, 5)
            told = index_of(await CameFrom(scheduler, Pace()).of(made[7]))
            assert told == ["index 7 of its batch"]

    asyncio.run(check())


def test_of_very_many_tasks_none_is_looked_at(monkeypatch):
    monkeypatch.setattr(origins, "_SCANNED", 2_000)

    async def check():
        async with Scheduler(port=0, dashboard_address=":0") as scheduler:
            made = await mapped(scheduler, 2_001)
            values = CameFrom(scheduler, Pace())
            assert index_of(await values.of(made[7])) == []
            assert values._groups is None

    asyncio.run(check())
