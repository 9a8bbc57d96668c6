"""What Python's own library makes, which differs from one version of it to the next.

The methods of dataclasses and named tuples have no file; what they are made of travels,
and they are made again. Parts of the library that cannot be pickled are made again,
too. Pickles in files name the functions that begin with ``read_``: their names and
arguments stay.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from dbgkit.remote.common.codes import identity, is_dynamic

# The name of the file of what `collections.namedtuple` and `dataclasses` make.
_NO_FILE = "<string>"
_PARAMS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_OF_FIELDS = ("init", "repr", "hash", "compare", "metadata", "kw_only")
# A class that has travelled by value has marks of its own, which are none for Python.
_MARKS = {type(getattr(dataclasses, name)): name for name in ("MISSING", "KW_ONLY")}
_MADE = frozenset(
    {
        *("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"),
        *("__lt__", "__le__", "__gt__", "__ge__", "__replace__"),
    }
)


def text_of_generated(code: CodeType) -> str | None:
    """The text of some code of a named tuple; None of other code."""
    names = code.co_varnames[: code.co_argcount]
    of_none = code.co_filename == _NO_FILE or is_dynamic(code.co_filename)
    if not of_none or code.co_name != "<lambda>":
        return None
    if names[:1] != ("_cls",) or "_tuple_new" not in code.co_names:
        return None
    fields = ", ".join(names[1:]) + ("," if len(names) == 2 else "")
    return f"lambda _cls, {fields}: _tuple_new(_cls, ({fields}))"


def reduce_generated(value: Any) -> Any:
    """How to pickle a part of the library; None of anything else."""
    if type(value) in _MARKS:
        return getattr, (dataclasses, _MARKS[type(value)])
    reducer = _REDUCERS.get(type(value))
    return None if reducer is None else reducer(value)


def without_generated(reduced: tuple[Any, ...], made: type) -> tuple[Any, ...]:
    """How to pickle a class, with what a dataclass has been given left out."""
    fields = vars(made).get("__dataclass_fields__")
    params = vars(made).get("__dataclass_params__")
    if type(fields) is not dict or params is None or len(reduced) < 3:
        return reduced
    make, args, (attributes, slots), *rest = reduced
    initialised = hasattr(made, "__post_init__")
    kept = {}
    for name, value in attributes.items():
        stand_in = Made(made, name, params, fields, initialised)
        kept[name] = stand_in if _is_made(value, stand_in) else value
    return (make, args, (kept, slots), *rest)


class Made:
    """Stands in a pickle for a method that `dataclasses` made."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return read_method, self.parts


def _is_made(value: Any, stand_in: Made) -> bool:
    """Whether an attribute of a dataclass is what `dataclasses` has made.

    Code that has travelled by value is without its file's name, the user's own too: it
    is compared with what this Python makes.
    """
    name, code = stand_in.parts[1], _code_of(value)
    if name not in _MADE or code is None:
        return False
    if code.co_filename in (_NO_FILE, dataclasses.__file__):
        return True
    try:
        made = _code_of(read_method(*stand_in.parts))
    except Exception:  # fields that no dataclass can be made of again
        return False
    return made is not None and _plain(made) == _plain(code)


def _code_of(value: Any) -> CodeType | None:
    value = getattr(value, "__wrapped__", value)
    return value.__code__ if type(value) is FunctionType else None


def _plain(code: CodeType) -> tuple[Any, ...]:
    return identity(code, lines=False)


def read_method(
    cls: type, name: str, params: Any, fields: dict[str, Any], initialised: bool
) -> Any:
    """A method of a dataclass, as this Python makes it; None if it makes none."""
    space: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__annotations__": {},
    }
    if initialised:
        space["__post_init__"] = None
    for each in fields.values():
        kind = each._field_type.name
        if kind == "_FIELD_CLASSVAR":
            continue
        of_call = kind == "_FIELD_INITVAR"
        space["__annotations__"][each.name] = (
            dataclasses.InitVar[object] if of_call else each.type
        )
        space[each.name] = dataclasses.field(**_settings(each))
    alike = type(cls.__name__, (), space)
    given = {each: getattr(params, each) for each in _PARAMS}
    made = vars(dataclasses.dataclass(**given)(alike)).get(name)
    for cell in getattr(made, "__closure__", None) or ():
        if cell.cell_contents is alike:
            cell.cell_contents = cls
    return made


def _settings(field: Any) -> dict[str, Any]:
    """Arguments of `dataclasses.field` that give a field."""
    found = {name: getattr(field, name) for name in _OF_FIELDS}
    for name in ("default", "default_factory"):
        value = getattr(field, name)
        if type(value) is not type(dataclasses.MISSING):
            found[name] = value
    return found


def _reduce_field(field: Any) -> Any:
    settings = _settings(field)
    settings["metadata"] = dict(settings["metadata"])
    return read_field, (field.name, field.type, settings, field._field_type)


def read_field(name: str, kind: Any, settings: dict[str, Any], which: Any) -> Any:
    """A field of a dataclass."""
    found: Any = dataclasses.field(**settings)
    found.name, found.type, found._field_type = name, kind, which
    return found


def _reduce_params(params: Any) -> Any:
    names = [name for name in _ALL_PARAMS if hasattr(params, name)]
    return read_params, ({name: getattr(params, name) for name in names},)


_ALL_PARAMS = (*_PARAMS, "match_args", "kw_only", "slots", "weakref_slot")


def read_params(settings: dict[str, Any]) -> Any:
    """What a dataclass was asked to be, as far as this Python notes it."""

    class Alike:
        pass

    given = {name: settings[name] for name in _PARAMS}
    found: Any = vars(dataclasses.dataclass(**given)(Alike))["__dataclass_params__"]
    for name, value in settings.items():
        if hasattr(found, name):
            setattr(found, name, value)
    return found


def _reduce_property(value: Any) -> Any:
    return read_cached_property, (value.func, value.attrname)


def read_cached_property(function: Any, name: str | None) -> Any:
    """A cached property: with a lock before Python 3.12, which cannot be pickled."""
    found = functools.cached_property(function)
    if name is not None:
        found.__set_name__(object, name)
    return found


def _reduce_cache(value: Any) -> Any:
    """A function with a cache, which is pickled by its name, as far as it has one."""
    if value.__module__ != "__main__":
        return None
    settings = value.cache_parameters()
    return read_cache, (value.__wrapped__, settings["maxsize"], settings["typed"])


def read_cache(function: Any, most: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return functools.lru_cache(most, typed)(function)


def _reduce_forward(value: Any) -> Any:
    names = ("module", "is_argument", "is_class")
    settings = {name: getattr(value, f"__forward_{name}__", None) for name in names}
    given = {name: each for name, each in settings.items() if each is not None}
    return read_forward, (value.__forward_arg__, given)


def read_forward(text: str, settings: dict[str, Any]) -> Any:
    """An annotation that is a text as yet: it holds bytecode before Python 3.14."""
    return typing.ForwardRef(text, **settings)


@dataclasses.dataclass
class _Sample:
    value: int = 0


# Neither of the first two is public; there is no other way to come by them.
_REDUCERS: dict[type, Callable[[Any], Any]] = {
    type(_Sample.__dict__["__dataclass_fields__"]["value"]): _reduce_field,
    type(_Sample.__dict__["__dataclass_params__"]): _reduce_params,
    functools.cached_property: _reduce_property,
    typing.ForwardRef: _reduce_forward,
    type(functools.lru_cache(typing.cast)): _reduce_cache,
}
