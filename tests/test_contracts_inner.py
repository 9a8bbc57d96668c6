"""What of Dask's and tblib's own doing inner tasks and P2P shuffles are told by."""

from __future__ import annotations

import inspect

import inner_tasks as tasks
import numpy as np
import p2p_tasks as p2p
import pytest
from distributed.core import error_message
from distributed.protocol.serialize import Serialized, serialize

from dbgkit.remote.common.pickles import pickle_of, raised_from
from dbgkit.remote.scheduler import p2p as remote_p2p
from dbgkit.remote.scheduler.p2p import cause_in_shuffle, phase_in, phase_of
from dbgkit.replays.nodes import P2P_WRAPPERS
from dbgkit.replays.shuffles import bare_run, receive


class Loud(Exception):
    """Says when it is loaded or made."""

    made = 0

    def __init__(self, *args):
        super().__init__(*args)
        type(self).made += 1


def caught(function, *args):
    """What a call raises, as a worker sends it."""
    try:
        function(*args)
    except Exception as error:
        return error_message(error)["exception"]
    raise AssertionError("it did not fail")


def of_loud(value):
    try:
        raise Loud("no such thing", value)
    except Loud as error:
        raise RuntimeError("outer") from error


def while_handling():
    try:
        of_loud(2)
    except RuntimeError:
        return [][0]


def test_causes_are_read_out_of_a_pickle_and_nothing_runs():
    """tblib.pickling_support; distributed.core.error_message."""
    sent = caught(of_loud, [1, 2])
    before = Loud.made
    (cause,) = raised_from(sent)
    assert cause.text == "Loud('no such thing', [1, 2])"
    assert [name for *_, name in cause.frames] == ["of_loud"]
    assert Loud.made == before


def test_contexts_are_read_too_and_those_that_are_suppressed_are_not():
    texts = [each.text for each in raised_from(caught(while_handling))]
    assert texts == ["RuntimeError('outer')", "Loud('no such thing', 2)"]

    def suppressed():
        try:
            of_loud(3)
        except RuntimeError:
            raise KeyError("k") from None

    assert raised_from(caught(suppressed)) == []


def test_an_exception_is_the_same_as_it_comes_over_a_wire():
    """TaskState.exception is a Serialized there, and a Serialize within a process."""
    sent = caught(of_loud, 1)
    header, frames = serialize(sent.data)
    assert pickle_of(Serialized(header, frames)) == pickle_of(sent) == sent.data


@pytest.mark.parametrize(
    "data", [b"", b"no pickle", b"\x80\x05.", b"cos\nsystem\n(S'x'\ntR."]
)
def test_what_is_no_exception_is_read_as_nothing(data):
    assert raised_from(data) == []


def test_words_of_a_failed_shuffle():
    """distributed/shuffle/_core.py."""
    from distributed.shuffle import _core

    for name, phase in (
        ("handle_transfer_errors", "transfer"),
        ("handle_unpack_errors", "unpack"),
    ):

        def fails(manager):
            with manager("an-id"):
                raise ValueError("mend me")

        sent = caught(fails, getattr(_core, name))
        text = f"RuntimeError('P2P an-id failed during {phase} phase')"
        assert phase_of(text) == phase
        cause = cause_in_shuffle(text, sent)
        assert cause is not None
        assert cause.text == "ValueError('mend me')"
    assert "failed during barrier phase" in inspect.getsource(_core.p2p_barrier)


def test_names_of_what_raises_for_other_partitions_of_a_shuffle():
    """distributed/shuffle/_core.py, _merge.py."""
    from distributed.shuffle import _core, _merge

    for name in remote_p2p._NOT_ITS_OWN:
        assert callable(getattr(_core.ShuffleRun, name))
    assert _core.barrier_key("an-id") == remote_p2p.BARRIER + "an-id"
    code = _merge.merge_unpack.__code__
    line = f'  File "{code.co_filename}", line 50, in {code.co_name}\n'
    assert phase_in("ValueError('mend me')", line) == "unpack"
    assert phase_in("ValueError('mend me')", line.replace("_merge", "merge")) == ""


def test_names_of_what_puts_into_a_shuffle():
    """dask/dataframe/dask_expr, distributed/shuffle."""
    from dask.dataframe.dask_expr import _merge, _shuffle
    from distributed.shuffle._merge import merge_transfer
    from distributed.shuffle._rechunk import rechunk_transfer
    from distributed.shuffle._shuffle import shuffle_transfer

    made = _merge.create_assign_index_merge_transfer()
    assert {_shuffle._shuffle_transfer.__name__, made.__name__} == set(P2P_WRAPPERS)
    for function in (made, merge_transfer, rechunk_transfer, shuffle_transfer):
        assert function.__name__.endswith("_transfer")


def test_a_plugin_is_asked_through_the_worker():
    """get_worker_plugin reads ``get_worker().plugins["shuffle"]``."""
    from distributed.shuffle._core import get_worker_plugin

    assert '.plugins["shuffle"]' in inspect.getsource(get_worker_plugin)


def test_a_dataframes_shuffle_runs_bare():
    from distributed.shuffle._shuffle import DataFrameShuffleSpec

    meta = p2p.META.assign(_partitions=0)
    spec = DataFrameShuffleSpec(
        id="s",
        disk=False,
        npartitions=2,
        column="_partitions",
        meta=meta,
        parts_out=2,
        drop_column=True,
    )
    run = bare_run(spec)
    part = p2p.plain(0).assign(_partitions=[0, 1, 1])
    run.validate_data(part)
    shards = run._shard_partition(part, 0)
    assert set(shards) == {"here"}
    receive(run, shards)


def test_an_arrays_rechunk_runs_bare():
    from distributed.shuffle._rechunk import ArrayRechunkSpec

    spec = ArrayRechunkSpec(id="s", disk=False, new=((4,), (2, 2)), old=((2, 2), (4,)))
    run = bare_run(spec)
    run.validate_data(np.ones((2, 4)))
    shards = run._shard_partition(np.ones((2, 4)), (0, 0))
    assert len(shards["here"][1]) == 2


def test_a_task_of_a_task_has_a_mark(processes_client):
    """Scheduler._set_priorities; Worker._get_client."""
    outer = processes_client.submit(tasks.by_worker_client, 0, pure=False)
    outer.exception(timeout=30)

    def looked(dask_scheduler):
        ts = next(
            ts for key, ts in dask_scheduler.tasks.items() if "ratio_of" in str(key)
        )
        return ts.priority[1] % 1, [cs.client_key for cs in ts.who_wants]

    part, names = processes_client.run_on_scheduler(looked)
    assert part
    assert all(name.startswith("Client-worker-") for name in names)
    processes_client.run(drop)


def drop(dask_worker):
    """Leave nothing behind for other tests."""
    for state in list(
        dask_worker._client.futures.values() if dask_worker._client else ()
    ):
        if isinstance(state.exception, BaseException):
            state.exception.__traceback__ = None
    tasks.collect()
