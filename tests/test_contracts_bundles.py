"""What `bundles` relies on of cloudpickle, Python's library, pandas and Arrow."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import io
import pickle
import pickletools
from collections import namedtuple

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cloudpickle import cloudpickle as inner

from dbgkit.bundles import arrow_streams, generated
from dbgkit.bundles.values_arrow import is_locked

# Functions of cloudpickle that pickles name; those of 3.0 are those of 3.1.3.
NAMES = {
    "_make_function": "code globals name argdefs closure",
    "_function_setstate": "obj state",
    "_make_skeleton_class": (
        "type_constructor name bases type_kwargs class_tracker_id extra"
    ),
    "_make_skeleton_enum": (
        "bases name qualname members module class_tracker_id extra"
    ),
    "_class_setstate": "obj state",
    "_make_typevar": "name bound constraints covariant contravariant class_tracker_id",
    "_make_cell": "value",
    "_make_empty_cell": "",
    "_builtin_type": "name",
    "_get_dataclass_field_type_sentinel": "name",
    "_make_dict_keys": "obj is_ordered",
    "_make_dict_values": "obj is_ordered",
    "_make_dict_items": "obj is_ordered",
    "_file_reconstructor": "retval",
    "subimport": "name",
    "dynamic_subimport": "name vars",
}


@pytest.mark.parametrize("name", NAMES)
def test_functions_of_cloudpickle_that_pickles_name(name):
    found = inspect.signature(getattr(inner, name)).parameters
    assert list(found) == NAMES[name].split()


def test_pickles_name_no_other_function_of_cloudpickle():
    reducers = [
        value for name, value in vars(inner).items() if name.endswith("_reduce")
    ]
    text = "".join(map(inspect.getsource, [*reducers, inner.Pickler]))
    made = [
        name
        for name in vars(inner)
        if name.startswith(
            ("_make_", "_builtin_type", "subimport", "dynamic_subimport")
        )
        and name in text
    ]
    assert set(made) <= NAMES.keys()


def test_a_pickler_asks_its_override_for_code_functions_classes_and_modules():
    asked = []

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, value):
            asked.append(type(value).__name__)
            return super().reducer_override(value)

    class Model:
        pass

    Pickler(io.BytesIO()).dump([lambda: Model, np, np.add, len, functools.partial(len)])
    assert {"function", "code", "type", "module", "ufunc", "partial"} <= set(asked)
    assert "builtin_function_or_method" in asked


def test_a_class_by_value_is_reduced_to_its_attributes_and_a_setter():
    class Model:
        rate = 3

    make, args, state, _, _, setter = cloudpickle.Pickler(
        io.BytesIO()
    ).reducer_override(Model)
    assert make is inner._make_skeleton_class and args[1] == "Model"
    assert state[0]["rate"] == 3 and state[1] == {}
    assert setter is inner._class_setstate


def test_a_pickler_of_cloudpickle_takes_persistent_ids():
    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, value):
            return "there" if isinstance(value, np.ndarray) else None

    file = io.BytesIO()
    Pickler(file, protocol=5).dump([np.arange(3)])
    names = [code.name for code, _, _ in pickletools.genops(file.getvalue())]
    assert "BINPERSID" in names
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(file.getvalue())


def test_fields_of_dataclasses_say_their_kind():
    @dataclasses.dataclass
    class Point:
        x: int
        shared: dataclasses.InitVar[int] = 3

    kinds = [each._field_type.name for each in Point.__dataclass_fields__.values()]
    assert kinds == ["_FIELD", "_FIELD_INITVAR"]
    for name in generated._PARAMS:
        assert hasattr(Point.__dataclass_params__, name)
    assert Point.__init__.__code__.co_filename == "<string>"
    assert Point.__repr__.__wrapped__.__code__.co_filename == "<string>"


def test_named_tuples_are_made_by_a_text_that_is_known():
    for pair in (namedtuple("Pair", "one two"), namedtuple("Single", "one")):
        code = pair.__new__.__code__
        text = generated.text_of_generated(code)
        again = compile(text, code.co_filename, "exec").co_consts[0]
        assert (again.co_code, again.co_names) == (code.co_code, code.co_names)


def test_blocks_of_pandas_say_whether_they_are_locked():
    array = np.ones((2, 2))
    frame = pd.DataFrame(array, copy=False)
    assert not is_locked(frame) and not is_locked(frame[0])
    array.flags.writeable = False
    assert is_locked(pd.DataFrame(array, copy=False))


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_batch_of_arrow_says_whether_it_is_compressed(compression):
    file = io.BytesIO()
    batch = pa.record_batch([pa.array(range(1_000))], ["a"])
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(file.getvalue()))
    assert messages.read_next_message().type == "schema"
    message = messages.read_next_message()
    assert message.type == "record batch"
    found = arrow_streams._is_compressed(message.metadata)
    assert found is (compression is not None)


def test_an_extension_type_is_named_in_the_schema_as_it_is():
    kind = pa.opaque(pa.int64(), "kind", "vendor")
    schema = pa.schema([pa.field("a", kind)])
    messages = pa.ipc.MessageReader.open_stream(
        pa.BufferReader(schema.serialize().to_pybytes())
    )
    metadata = messages.read_next_message().metadata.to_pybytes()
    assert arrow_streams._EXTENSION in metadata
