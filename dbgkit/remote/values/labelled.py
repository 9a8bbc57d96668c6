"""Arrays of xarray, scipy.sparse and torch in a bounded text.

What they keep is read from their slots and dictionaries, which no subclass overrides;
data that is not in memory as an array of numpy, or not on this device, is named only.
"""

from __future__ import annotations

from typing import Any

from ..common.objects import (
    Teller,
    class_mro,
    class_name,
    is_a,
    module_of,
    namespace,
    stored,
)
from .arrays import in_file, shape_text, tell_array

_MOST = 10  # variables of a dataset, coordinates, dimensions


# --- xarray -------------------------------------------------------------------


def describe_xarray(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of a variable, array or dataset of xarray; None of others."""
    names = namespace("xarray")
    if is_a(kind, names.get("DataArray")):
        name, variable = stored(value, "_name"), stored(value, "_variable")
        text = "" if name is None else f"{teller.tell(name)} "
        if teller.hidden(name):
            return f"{text}<hidden>"
        return f"{text}{_variable(variable, teller)}{_coordinates(value, teller)}"
    if is_a(kind, names.get("Dataset")):
        return _dataset(value, teller)
    if is_a(kind, names.get("Variable")):
        return _variable(value, teller)
    return None


def _dataset(value: Any, teller: Teller) -> str | None:
    variables, coordinates = stored(value, "_variables"), stored(value, "_coord_names")
    if type(variables) is not dict or type(coordinates) is not set:
        return None
    own = [
        (name, variable)
        for name, variable in variables.items()
        if type(name) is not str or name not in coordinates
    ]
    pieces = [
        f"{teller.tell(name)} "
        + ("<hidden>" if teller.hidden(name) else _variable(variable, teller))
        for name, variable in own[:_MOST]
    ]
    labels = [teller.tell(name) for name in list(coordinates)[:_MOST]]
    text = f"{len(own):,} variables: {teller.join(pieces, len(own), '; ')}"
    if labels:
        text += f"; coordinates {teller.join(sorted(labels), len(coordinates))}"
    return text


def _variable(variable: Any, teller: Teller) -> str:
    dims, data = stored(variable, "_dims"), stored(variable, "_data")
    names = [teller.tell(name) for name in dims] if type(dims) is tuple else []
    return f"({teller.join(names, len(names))}) {_data(data, teller)}"


def _data(data: Any, teller: Teller) -> str:
    if type(data) is namespace("numpy").get("ndarray"):
        return tell_array(data, teller)
    if module_of(type(data)) in ("xarray", "dask"):  # to be loaded, or computed
        return f"<{class_name(type(data))}>, not read"
    return teller.tell(data)


def _coordinates(value: Any, teller: Teller) -> str:
    found = stored(value, "_coords")
    if type(found) is not dict or not found:
        return ""
    labels = [teller.tell(name) for name in list(found)[:_MOST]]
    return f"; coordinates {teller.join(labels, len(found))}"


# --- scipy.sparse -------------------------------------------------------------


def describe_sparse(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of a sparse array of scipy; None of others."""
    base = next((cls for cls in class_mro(kind) if module_of(cls) == "scipy"), None)
    if base is None or not namespace("scipy.sparse"):
        return None
    shape, data = stored(value, "_shape"), stored(value, "data")
    if type(shape) is not tuple or not all(type(size) is int for size in shape):
        return None
    text = shape_text(shape)
    if type(data) is not namespace("numpy").get("ndarray") or data.dtype.kind == "O":
        return text
    return f"{text}, {data.size:,} stored: {tell_array(data, teller)}"


# --- torch --------------------------------------------------------------------


def describe_torch(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of a tensor of torch's own classes; None of others.

    Values are only looked at in memory: from another device they would be waited for.
    """
    names = namespace("torch")
    parameter = namespace("torch.nn.parameter").get("Parameter")
    if not (kind is names.get("Tensor") or kind is parameter):
        return None
    text = f"{str(value.dtype).removeprefix('torch.')} {shape_text(tuple(value.shape))}"
    if value.device.type != "cpu":
        return f"{text} on {value.device}, not read"
    if value.layout is not names.get("strided"):
        return f"{text}, {str(value.layout).removeprefix('torch.')}"
    if in_file(value.data_ptr()):
        return f"{text}, memory-mapped, not read"
    if not namespace("numpy"):
        return text
    try:
        array = value.detach().numpy()
    except (RuntimeError, TypeError):  # conjugated, say; or numpy has no such type
        return text
    return tell_array(array, teller)
