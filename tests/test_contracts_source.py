"""What `source` and `unpickling` rely on of cloudpickle, Dask and IPython."""

from __future__ import annotations

import inspect
import linecache
import pickle
import pickletools
from types import CodeType

import cloudpickle
import numpy as np
import pytest
from cloudpickle import cloudpickle as inner
from distributed.protocol.serialize import Serialize, Serialized, serialize_and_split

from dbgkit.cluster.packed import PackedPool, unpacked
from dbgkit.remote.common.codes import DYNAMIC, fingerprint


def by_value():
    space = {"__name__": "__main__", "__file__": "/some/where.py"}
    exec(compile("def f(x):\n    return 1 / x", "/some/where.py", "exec"), space)
    return space["f"]


def test_a_function_is_made_of_its_code_and_of_globals_that_name_its_module():
    assert list(inspect.signature(inner._make_function).parameters) == [
        "code",
        "globals",
        "name",
        "argdefs",
        "closure",
    ]
    read = pickle.loads(cloudpickle.dumps(by_value()))
    assert read.__globals__["__name__"] == "__main__"
    assert read.__globals__["__file__"] == "/some/where.py"


def test_code_comes_with_all_but_its_file():
    function = by_value()
    read = pickle.loads(cloudpickle.dumps(function)).__code__
    assert read.co_filename in (DYNAMIC, "/some/where.py")
    assert fingerprint(read) == fingerprint(function.__code__)


@pytest.mark.parametrize(
    "name, parameters",
    [
        (
            "_make_skeleton_class",
            "type_constructor name bases type_kwargs class_tracker_id extra",
        ),
        (
            "_make_skeleton_enum",
            "bases name qualname members module class_tracker_id extra",
        ),
        ("_class_setstate", "obj state"),
        (
            "_make_typevar",
            "name bound constraints covariant contravariant class_tracker_id",
        ),
    ],
)
def test_classes_are_made_by(name, parameters):
    found = inspect.signature(getattr(inner, name)).parameters
    assert list(found) == parameters.split()


def test_classes_are_known_by_id_and_ids_by_class():
    class Local:
        pass

    cloudpickle.dumps(Local)
    tracker = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS[Local]
    assert inner._DYNAMIC_CLASS_TRACKER_BY_ID[tracker] is Local


def test_pickles_name_the_module_that_the_functions_are_in():
    class Local:
        def method(self):
            return 1

    names = {
        argument
        for code, argument, _ in pickletools.genops(
            cloudpickle.dumps(Local, protocol=4)
        )
        if code.name == "SHORT_BINUNICODE"
    }
    assert {"cloudpickle.cloudpickle", "_class_setstate", "_make_function"} <= names


VALUES = {
    "an array": np.arange(10.0),
    "a large array": np.zeros(2_000_000),
    "a list": [1, "two", {"three": 3}],
    "a tuple with an array": ({"a": np.arange(3)}, [np.arange(2), None], {1, 2}),
    "an object": by_value(),
    "nothing": None,
}


@pytest.mark.parametrize("serializers", [["pickle", "dask"], ["dask", "pickle"]])
@pytest.mark.parametrize("name", VALUES)
def test_a_serialised_value_is_read_by_whoever_wants_it(name, serializers):
    value = VALUES[name]
    header, frames = serialize_and_split(Serialize(value), serializers=serializers)
    seen = []

    def loads(data, *, buffers=()):
        seen.append(data)
        return pickle.loads(data, buffers=buffers)

    read = unpacked(Serialized(header, frames), loads)
    assert type(read) is type(value)
    np.testing.assert_equal(
        read if not callable(read) else read(4), value if not callable(value) else 0.25
    )
    assert seen or serializers[0] == "dask"


def test_arrays_that_were_writable_are():
    header, frames = serialize_and_split(
        Serialize(np.zeros(3)), serializers=["pickle", "dask"]
    )
    frames = [bytes(frame) for frame in frames]
    read = unpacked(Serialized(header, frames), pickle.loads)
    read[0] = 1


def test_a_connection_is_given_back_as_it_was(processes_client):
    client = processes_client
    pool = PackedPool(client.rpc)

    async def use():
        address = client.scheduler.address
        comm = await pool.connect(address)
        before = comm.deserialize
        pool.reuse(address, comm)
        return before, comm.deserialize

    assert client.sync(use) == (False, True)


def test_cells_are_in_linecache_without_a_time_of_change():
    from IPython.core.compilerop import CachingCompiler

    compiler = CachingCompiler()
    name = compiler.cache("x = 1\n", 12)
    try:
        assert compiler._filename_map[name] == 12
        assert linecache.cache[name][1] is None
        assert compiler.format_code_name(name) == ("Cell", "In[12]")
    finally:
        del linecache.cache[name]


def test_constants_hold_nested_code():
    code = compile("def f():\n    def g(): pass", "a", "exec")
    assert any(isinstance(each, CodeType) for each in code.co_consts)


def test_a_computation_has_the_groups_of_its_tasks(processes_client):
    def look(dask_scheduler=None):
        group = dask_scheduler.tasks["computed-1"].group
        return [group in each.groups for each in dask_scheduler.computations][-1]

    future = processes_client.submit(int, key="computed-1")
    future.result(timeout=20)
    assert processes_client.run_on_scheduler(look)
