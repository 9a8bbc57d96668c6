"""Arrays of numpy in a bounded text.

What a subclass overrides is not called: it is looked at as its base class.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

from ..common.objects import Teller, class_module, instance_dict, is_a, namespace

FULL = 1_000_000  # elements that are looked at in full; of more, a sample
SAMPLE = 200_000  # elements of such a sample
HEAD = 6
_LARGE = 65_536  # bytes of one element, from which on none is shown
_FIELDS = 10  # of a structured element
NUMBERS = "fciumMb"  # kinds of numpy's dtypes that are ordered, or nearly so


def is_numbers(value: Any) -> bool:
    """Whether a value is an array or column of numbers."""
    kind = type(value)
    numpy, pandas = namespace("numpy"), namespace("pandas")
    if kind is numpy.get("ndarray") or (
        is_a(kind, numpy.get("generic")) and class_module(kind) == "numpy"
    ):
        return value.dtype.kind in NUMBERS
    if kind is pandas.get("Series") or kind is pandas.get("Index"):
        return class_module(type(value.dtype)) in _NUMPY and value.dtype.kind in NUMBERS
    return kind is pandas.get("RangeIndex")


_NUMPY = ("numpy", "numpy.dtypes")


def _numpy() -> Any:
    """The module, once one of its objects was met: it is never imported from here."""
    return sys.modules["numpy"]


def describe_numpy(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of an array, scalar or dtype of numpy; None of others."""
    names = namespace("numpy")
    if is_a(kind, names.get("ndarray")):
        return _tell_array(value, kind, teller)
    # Who derives from a scalar's class may have overridden all that would be read.
    if is_a(kind, names.get("generic")) and class_module(kind) == "numpy":
        return tell_scalar(value, teller)
    if is_a(kind, names.get("dtype")):
        return dtype_name(value)
    return None


def _tell_array(value: Any, kind: type, teller: Teller) -> str:
    numpy = _numpy()
    array = numpy.ndarray.view(value, numpy.ndarray)
    mask = None
    if is_a(kind, namespace("numpy.ma").get("MaskedArray")):
        # The public name is a property, which a subclass may have overridden.
        mask = (instance_dict(value) or {}).get("_mask")
        mask = mask if is_a(type(mask), numpy.ndarray) else None
    return tell_array(array, teller, mask)


def tell_array(array: Any, teller: Teller, mask: Any = None) -> str:
    """The text of an array of numpy's own class."""
    text = f"{dtype_name(array.dtype)} {shape_text(array.shape)}"
    if is_mapped(array):
        # The file may be slow, or shorter than it was: reading would end the process.
        return f"{text}, memory-mapped, not read"
    if not array.size:
        return f"{text}, empty"
    if mask is not None and mask.size <= FULL:
        text += f", {int(mask.sum()):,} masked"
    if array.ndim:
        found, sampled = figures(array, mask)
        text += "".join(f", {each}" for each in found)
        text += " (sampled)" if sampled and found else ""
    return f"{text}: {_head(array, mask, teller)}"


def is_mapped(array: Any) -> bool:
    """Whether an array is backed by a memory-mapped file."""
    numpy = _numpy()
    base = array
    for _ in range(20):  # a view of a view
        if is_a(type(base), numpy.ndarray):
            if is_a(type(base), numpy.memmap):
                return True
            base = numpy.ndarray.__dict__["base"].__get__(base)
        elif type(base) is memoryview:
            base = base.obj
        else:
            break
    return is_a(type(base), mmap.mmap)


def in_file(address: int) -> bool:
    """Whether an address is of a file that is mapped into memory; as Linux has it."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            lines = maps.readlines()
    except OSError:
        return False
    for line in lines:
        span, _, rest = line.partition(b" ")
        first, _, last = span.partition(b"-")
        if int(first, 16) <= address < int(last, 16):
            fields = rest.split(None, 4)
            return len(fields) == 5 and fields[4].startswith(b"/")
    return False


def dtype_name(dtype: Any) -> str:
    """A dtype in words, bounded; of a structured one the first fields."""
    names = getattr(dtype, "names", None)
    if names and len(names) > _FIELDS:
        return f"structured, {len(names):,} fields"
    text = str(dtype)
    return text if len(text) <= 80 else f"{text[:80]}…"


def shape_text(shape: tuple[int, ...]) -> str:
    """``(3,)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def figures(array: Any, mask: Any = None) -> tuple[list[str], bool]:
    """How many NaN, the least and the greatest; and whether that is of a sample."""
    numpy = _numpy()
    kind = array.dtype.kind
    if kind not in NUMBERS:
        return [], False
    part = sample(array)
    sampled = part.size < array.size
    if mask is not None and mask.shape == array.shape:
        part = part[~sample(mask)]
    if not part.size:
        return [], sampled
    texts = []
    with numpy.errstate(all="ignore"):
        if kind in "fcmM":
            missing = numpy.isnat(part) if kind in "mM" else numpy.isnan(part)
            count = int(numpy.count_nonzero(missing))
            name = "NaT" if kind in "mM" else "NaN"
            share = f" of {part.size:,}" if sampled else ""
            if count or kind in "fc":
                texts.append(f"{count:,} {name}{share}")
            if kind == "c" or count == part.size:
                return texts, sampled
        if kind == "b":
            return [f"{int(numpy.count_nonzero(part)):,} True"], sampled
        if kind == "f" and not sampled:
            infinite = int(numpy.count_nonzero(numpy.isinf(part)))
            texts += [f"{infinite:,} inf"] if infinite else []
        least = numpy.fmin.reduce(part, axis=None)
        greatest = numpy.fmax.reduce(part, axis=None)
    return [*texts, f"{least!s} to {greatest!s}"], sampled


def sample(array: Any) -> Any:
    """All of a small array; a view of some 200,000 elements of a large one."""
    if array.size <= FULL:
        return array
    # A step along each axis, the longest first: a view, so nothing is copied.
    step = -(-array.size // SAMPLE)
    slices = [slice(None)] * array.ndim
    for axis in sorted(range(array.ndim), key=lambda n: -array.shape[n]):
        one = min(step, array.shape[axis])
        slices[axis] = slice(None, None, one)
        step = -(-step // one)
        if step <= 1:
            break
    return array[tuple(slices)]


def _head(array: Any, mask: Any, teller: Teller) -> str:
    """The first elements, in the array's own order."""
    if array.dtype.itemsize > _LARGE:
        teller.cut = True
        return f"elements of {array.dtype.itemsize:,} bytes"
    first = array.reshape(1) if not array.ndim else array.flat[:HEAD]
    masked = [] if mask is None else mask.reshape(-1)[: len(first)].tolist()
    pieces = [
        "--"
        if index < len(masked) and masked[index] is True
        else _element(item, teller)
        for index, item in enumerate(first)
    ]
    if not array.ndim:
        return pieces[0]
    return f"[{teller.join(pieces, array.size)}]"


def _element(item: Any, teller: Teller) -> str:
    if class_module(type(item)) == "numpy" and is_a(
        type(item), namespace("numpy").get("generic")
    ):
        return tell_scalar(item, teller)
    return teller.tell(item)


def tell_scalar(value: Any, teller: Teller) -> str:
    """The text of a scalar of numpy's own classes."""
    numpy = _numpy()
    dtype = value.dtype
    if dtype.kind in "biufcmM":
        return str(numpy.ndarray.__str__(numpy.asarray(value)))
    if dtype.kind != "V":
        return teller.tell(value.item())
    if not dtype.names:
        return teller.tell(value.tobytes()[:_LARGE])
    names = dtype.names
    pieces = [teller.named(name, value[name]) for name in names[:_FIELDS]]
    comma = "," if len(names) == 1 else ""
    return f"({teller.join(pieces, len(names))}{comma})"
