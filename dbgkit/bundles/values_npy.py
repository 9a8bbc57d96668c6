"""Arrays of numpy as .npy."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from tokenize import TokenError
from typing import Any, BinaryIO

from dbgkit.bundles.entries import Writer
from dbgkit.remote.common.objects import namespace

_KINDS = "biufcmMSUV"
_READ_ONLY = b"read-only\n"  # after the array's bytes, where other readers do not look
_BLOCK = 1 << 22
_SMALL = 1 << 20  # bytes that are worth compressing


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy's own class."""
    return type(value) is namespace("numpy").get("ndarray")


def plan(value: Any) -> Writer | None:
    """How to write an array; None if its dtype would not be what it was."""
    from numpy.lib import format as npy

    if value.dtype.kind not in _KINDS or value.dtype.hasobject:
        return None
    header = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is left out
            npy.write_array_header_2_0(header, npy.header_data_from_array_1_0(value))
        header.seek(0)
        _, _, dtype = _read_header(header)
    except (TypeError, ValueError, UnicodeError):
        return None
    if not _same_dtype(dtype, value.dtype):
        return None

    def write(file: Any) -> None:
        version = (2, 0)
        npy.write_array(file, value, version=version, allow_pickle=False)
        if not value.flags.writeable:
            file.write(_READ_ONLY)

    return Writer(write, int(value.nbytes), compressed=value.nbytes <= _SMALL)


def _same_dtype(one: Any, other: Any) -> bool:
    """Whether dtypes are the same: of two types for the same numbers, too."""
    if one != other or one.type is not other.type or one.str != other.str:
        return False
    if other.metadata or one.isalignedstruct != other.isalignedstruct:
        return False
    if other.subdtype:
        return _same_dtype(one.subdtype[0], other.subdtype[0])
    fields = [(one.fields[name], other.fields[name]) for name in other.names or ()]
    return all(_same_dtype(mine[0], its[0]) for mine, its in fields)


def read(file: BinaryIO, limit: int) -> Any:
    """The array of a file; it takes no more memory than a limit, and no pickle."""
    import numpy

    shape, fortran, dtype = _read_header(file)
    count = math.prod(shape)
    if min(shape, default=0) < 0 or max(count, count * dtype.itemsize) > limit:
        raise ValueError(f"an array of {count:,} elements of {dtype} is over the limit")
    array: Any = numpy.ndarray(shape, dtype, order="F" if fortran else "C")
    if array.nbytes:
        flat = (array.T if fortran else array).reshape(-1).view(numpy.uint8)
        _fill(memoryview(flat), file)
    rest = file.read(len(_READ_ONLY) + 1)
    if rest not in (b"", _READ_ONLY):
        raise ValueError("there is more than the array")
    array.flags.writeable = not rest
    return array


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, Any]:
    from numpy.lib import format as npy

    if npy.read_magic(file) != (2, 0):
        raise ValueError("it is of another version of the format")
    # `read_array_header_2_0` first reads as much as the header says that it has.
    size = file.read(4)
    length = int.from_bytes(size, "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header has {length:,} bytes")
    header = BytesIO(size + file.read(length))
    try:
        shape, fortran, dtype = npy.read_array_header_2_0(header)
    except TokenError as error:
        raise ValueError(f"its header is cut: {error}") from None
    if dtype.hasobject:
        raise ValueError("it holds objects, which only a pickle can")
    return shape, fortran, dtype


_LONGEST_HEADER = 10_000  # what numpy takes without being asked


def _fill(view: memoryview, file: BinaryIO) -> None:
    place = 0
    while place < view.nbytes:
        data = file.read(min(_BLOCK, view.nbytes - place))
        if not data:
            raise ValueError(f"it ends after {place:,} of {view.nbytes:,} bytes")
        view[place : place + len(data)] = data
        place += len(data)
