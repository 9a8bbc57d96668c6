"""The user's own call inside Dask's wrappers.

Nothing is run: arguments are read as they stand.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dask._task_spec import Alias, DataNode, Task, TaskRef

from .objects import class_dict, class_module, class_mro, class_name

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
Named = list[tuple[str, Any]]

_DEEPEST = 10  # wrappers around wrappers
_CACHED = type(functools.lru_cache(abs))
_KNOWN = ("dask", "numpy", "pandas")  # may be asked what they are called
_DASK = ("dask", "distributed", "toolz", "tlz", "cytoolz")


def user_call(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Call:
    """The innermost known call within a call, without Dask's wrappers.

    Where a wrapper calls its function with values that are only there once it runs,
    the function comes without arguments.
    """
    call: Call = (function, tuple(args), dict(kwargs))
    for _ in range(_DEEPEST):
        peeled = _peel(*call)
        if peeled is None:
            break
        call = peeled
    return call


def whole_call(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Call:
    """As `user_call`, out of wrappers alone that pass on all that they are given."""
    call: Call = (function, tuple(args), dict(kwargs))
    for _ in range(_DEEPEST):
        if (module_of(call[0]), name_of_function(call[0])) in _IN_PARTS:
            break
        peeled = _peel(*call)
        if peeled is None:
            break
        call = peeled
    return call


def _peel(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """What a wrapper calls; None if the function is not a known wrapper."""
    if type(function) is functools.partial:
        return function.func, (*function.args, *args), {**function.keywords, **kwargs}
    if type(function) is _CACHED:
        return function.__wrapped__, args, kwargs
    wrapper = _WRAPPERS.get((module_of(function), name_of_function(function)))
    if wrapper is None:
        return None
    try:
        peeled = wrapper(args, dict(kwargs))
    except (IndexError, KeyError, TypeError, ValueError):
        return None  # called in another way than Dask does by now
    return peeled if callable(peeled[0]) else None


def _apply_and_enforce(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """dask/dataframe/core.py: ``apply_and_enforce(*args, _func, _meta, **kwargs)``."""
    function = kwargs.pop("_func")
    kwargs.pop("_meta", None)
    return function, args, kwargs


def _pass_extra_kwargs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """dask/array/core.py: the values of ``keys`` come first among the arguments."""
    function, keys, *rest = args
    if type(keys) is not tuple:
        return function, (), {}
    return function, tuple(rest[len(keys) :]), {**kwargs, **dict(zip(keys, rest))}  # noqa: B905


def _apply(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """dask/utils.py: ``apply(func, args, kwargs=None)``."""
    function, positional, *more = args
    if type(positional) not in (list, tuple):
        return function, (), {}
    named = more[0] if more and type(more[0]) is dict else {}
    return function, tuple(positional), dict(named)


def _apply2(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """dask/delayed.py: ``_apply2(func, *args, dask_kwargs)``."""
    named = kwargs.get("dask_kwargs")
    return args[0], args[1:], dict(named) if type(named) is dict else {}


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A wrapper that takes the function first, and calls it with parts."""
    return args[0], (), {}


def _fourth(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """dask/dataframe/groupby.py: ``_groupby_slice_apply(df, grouper, key, func)``."""
    return args[3], (), {}


# Private names of Dask and xarray; pinned by tests/test_contracts_provenance.py.
_WRAPPERS: dict[tuple[str, str], Any] = {
    ("dask.dataframe.core", "apply_and_enforce"): _apply_and_enforce,
    ("dask.array.core", "_pass_extra_kwargs"): _pass_extra_kwargs,
    # empty_safe_apply(func, part, is_last)
    ("dask.bag.core", "empty_safe_apply"): lambda args, _: (args[0], args[1:2], {}),
    ("dask.bag.core", "map_chunk"): _first,
    ("dask.bag.core", "starmap_chunk"): _first,
    ("builtins", "filter"): _first,  # as bags filter
    ("dask.utils", "apply"): _apply,
    ("dask.delayed", "_apply2"): _apply2,  # in 2025.4
    # overlap_chunk(func, before, after, *args)
    ("dask.dataframe.rolling", "overlap_chunk"): lambda args, named: (
        args[0],
        (),
        named,
    ),
    ("dask.dataframe.groupby", "_groupby_slice_apply"): _fourth,
    ("dask.dataframe.groupby", "_groupby_slice_transform"): _fourth,
    ("xarray.core.parallel", "_wrapper"): _first,
}

# Those that call their function with parts of what they are given.
_IN_PARTS = frozenset(
    (
        ("dask.bag.core", "map_chunk"),
        ("dask.bag.core", "starmap_chunk"),
        ("builtins", "filter"),
        ("dask.dataframe.rolling", "overlap_chunk"),
        ("dask.dataframe.groupby", "_groupby_slice_apply"),
        ("dask.dataframe.groupby", "_groupby_slice_transform"),
        ("xarray.core.parallel", "_wrapper"),
    )
)


def is_wrapper(function: Any) -> bool:
    """Whether a plain function is one of Dask's that calls the user's."""
    named = module_of(function), name_of_function(function)
    return named in _WRAPPERS or named[1] in ("reify", "_execute_subgraph")


def module_of(function: Any) -> str:
    """Name of the module of a function or class, or of an object's class."""
    kind = type(function)
    if kind is types.MethodType:
        function, kind = function.__func__, type(function.__func__)
    if kind is types.FunctionType or kind is types.BuiltinFunctionType:
        found = function.__module__
    else:
        found = class_module(function if issubclass(kind, type) else kind)
    return found if type(found) is str else ""


def name_of_function(function: Any) -> str:
    """What a function or class is called; of a callable object, its class."""
    kind = type(function)
    if kind is types.MethodType:
        function, kind = function.__func__, type(function.__func__)
    if kind is types.FunctionType or kind is types.BuiltinFunctionType:
        return str(function.__name__[:200])
    if issubclass(kind, type):
        return str(class_name(function)[:200])
    if module_of(function).split(".")[0] in _KNOWN:  # a ufunc, a methodcaller
        found = getattr(function, "__name__", None)
        if type(found) is str:
            return found[:200]
    return str(class_name(kind)[:200])


def plain_name(function: str) -> str:
    """A function's name as Dask has it in keys; empty if that says nothing."""
    if function == "<lambda>":
        return "lambda"
    # Of a comprehension; of a class or an object that is called.
    return "" if function.startswith(("<", "__")) else function


def is_dasks(function: Any) -> bool:
    """Whether a function is Dask's own."""
    return module_of(function).split(".")[0] in _DASK


def named_arguments(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Named:
    """Arguments under the names that the function gives them, in order."""
    names = parameter_names(function)
    pairs = [
        (names[index] if index < len(names) else f"args[{index}]", value)
        for index, value in enumerate(args)
    ]
    return [*pairs, *kwargs.items()]


def parameter_names(function: Any) -> tuple[str, ...]:
    """Names of the positional parameters of what Python's own code defines.

    For a class, those of its ``__init__``; for a callable object, of ``__call__``; none
    for what is not written in Python.
    """
    plain, bound = plain_function(function)
    for _ in range(_DEEPEST):
        if type(plain) is not types.FunctionType:
            return ()
        code = plain.__code__
        names = code.co_varnames[int(bound) : code.co_argcount]
        # As `inspect.signature` does: what wraps a function passes all on to it.
        inner = plain.__dict__.get("__wrapped__")
        if names or inner is None:
            return names
        plain = inner
    return ()


def plain_function(function: Any) -> tuple[Any, bool]:
    """The function that a call runs, and whether its first argument is given already.

    None of it is run: a class or an object is not asked for its attributes.
    """
    kind = type(function)
    if kind is types.MethodType:
        return function.__func__, True
    if kind is types.FunctionType:
        return function, False
    name = "__init__" if issubclass(kind, type) else "__call__"
    for base in class_mro(function if issubclass(kind, type) else kind):
        found = class_dict(base).get(name)
        if found is not None:
            return found, True
    return None, False


# --- run specs ------------------------------------------------------------------


def steps_of(node: Any) -> Mapping[Any, Any]:
    """Steps of a fused task, by key; empty for others (``GraphNode.fuse``)."""
    if not issubclass(type(node), Task) or not node.args:
        return {}
    steps = node.args[0]
    fused = type(steps) is dict and name_of_function(node.func) == "_execute_subgraph"
    return steps if fused else {}


def call_of(node: Any, known: Mapping[Any, Any] = MappingProxyType({})) -> Call | None:
    """The user's own call that a run spec stands for; None where it calls nothing.

    Arguments are as in the run spec: literals, ``TaskRef``, or nodes of their own.
    Within a fused task, the function itself may be a reference to one of ``known``.
    """
    node = unreified(node)
    if not issubclass(type(node), Task) or steps_of(node):
        return None
    args = tuple(literal(value, known) for value in node.args)
    kwargs = {name: literal(value, known) for name, value in node.kwargs.items()}
    return user_call(node.func, args, kwargs)


def unreified(node: Any) -> Any:
    """What ``reify(Task(map_chunk, …))`` has within (dask/bag/core.py)."""
    for _ in range(_DEEPEST):
        if not issubclass(type(node), Task) or len(node.args) != 1:
            break
        inner = node.args[0]
        named = module_of(node.func), name_of_function(node.func)
        if named != ("dask.bag.core", "reify") or not issubclass(type(inner), Task):
            break
        node = inner
    return node


def literal(argument: Any, known: Mapping[Any, Any] = MappingProxyType({})) -> Any:
    """The value of a ``DataNode``, or of a parameter; anything else as it is."""
    if type(argument) is TaskRef or type(argument) is Alias:
        target = target_of(argument)
        return known.get(target, argument) if is_parameter(target) else argument
    return argument.value if type(argument) is DataNode else argument


def target_of(reference: Any) -> Any:
    """The key that a ``TaskRef`` or an ``Alias`` stands for."""
    return reference.target if type(reference) is Alias else reference.key


def is_parameter(name: Any) -> bool:
    """Whether a name is one that Dask gives to parameters within a fused task."""
    return type(name) is str and name.startswith("__dask_blockwise__")
