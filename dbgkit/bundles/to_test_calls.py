"""The call as a test writes it: what is called, with what, and awaited how."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

from dbgkit.bundles.to_test_layout import WIDTH, Expression, quoted
from dbgkit.bundles.to_test_layout import text as plain
from dbgkit.bundles.to_test_parts import NotLiteral
from dbgkit.bundles.to_test_writer import Writer
from dbgkit.errors import NotHere
from dbgkit.remote.common.calls import parameter_names
from dbgkit.replays.function_call import FunctionCall

_INDENT = 4
_BY_PLACE = inspect.Parameter.POSITIONAL_ONLY
_ANY_NUMBER = inspect.Parameter.VAR_POSITIONAL

Given = tuple[str, Any, str]  # an argument's name, its value, what stands before it


class Body:
    """The lines of the test's function, as they are written."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.lines: list[str] = []
        self.called = ""  # the expression of what is called
        self._names: set[str] = set()

    def write(self, call: FunctionCall) -> None:
        """All of it: values, then the call."""
        form, args, kwargs, names = self._called(call)
        self.called = form
        given = self._spared(
            call,
            [
                *((name, value, "") for name, value in zip(names, args, strict=True)),
                *((name, value, _as_keyword(name)) for name, value in kwargs.items()),
            ],
        )
        written = [(name, *self._value(name, value), how) for name, value, how in given]
        items = tuple(each.after(how) for _, each, _, how in written)
        whole = _awaited(call, Expression(f"{form}(", items, ")"))
        files = any(
            note or each.head.startswith("pickle") for _, each, note, _ in written
        )
        if files or len(whole[0].flat) + _INDENT > WIDTH or len(whole) > 1:
            named = [
                plain(self._assigned(name, each, note)).after(how)
                for name, each, note, how in written
            ]
            call_form = Expression(f"{form}(", tuple(named), ")")
            whole = _awaited(call, call_form)
            self.lines += [""] if self.lines else []
        head, *rest = whole
        self.lines += head.lines(_INDENT)
        self.lines += [" " * _INDENT + each.flat for each in rest]

    def _spared(self, call: FunctionCall, given: list[Given]) -> list[Given]:
        """Without defaults that no text stands for, such as marks of a library.

        What comes after one is given by name then.
        """
        defaults = _defaults_of(call)
        found: list[Given] = []
        for place, (name, value, how) in enumerate(given):
            default = name in defaults and defaults[name] is value
            if not default or self._has_text(value):
                by_name = _as_keyword(name) if len(found) < place else ""
                found.append((name, value, how or by_name))
        return found

    def _has_text(self, value: Any) -> bool:
        try:
            self.writer.literals.of(value)
        except NotLiteral:
            return False
        return True

    # -- values ----------------------------------------------------------------

    def _value(self, name: str, value: Any) -> tuple[Expression, str]:
        try:
            return self.writer.literal(name, value), ""
        except NotLiteral:
            return self.writer.beside(name, value)

    def _assigned(self, name: str, written: Expression, note: str) -> str:
        """Have a variable hold a value; its name, which is no other thing's."""
        taken = self.writer.names.reserved | self._names
        while name in taken or not _is_name(name):
            name = f"{name}_" if _is_name(f"{name}_") else "value"
        self._names.add(name)
        if note:
            self.lines.append(f"{' ' * _INDENT}# {note[0].upper()}{note[1:]}.")
        self.lines += written.after(f"{name} = ").lines(_INDENT)
        return name

    # -- what is called ----------------------------------------------------------

    def _called(
        self, call: FunctionCall
    ) -> tuple[str, tuple[Any, ...], dict[str, Any], list[str]]:
        """An expression to call, its arguments, and names for the positional ones."""
        function, args = call.function, call.args
        names = _names_of(call)
        if call.code is None or type(function) is not FunctionType:
            return self._object(function), args, call.kwargs, names
        owner, _, name = function.__qualname__.rpartition(".")
        if owner and not owner.endswith("<locals>") and args:
            form = self._method(args[0], owner.rpartition(".")[2], name)
            if form is not None:
                return form, args[1:], call.kwargs, names[1:]
        if call.cells:
            function = _with_cells(function, call.cells)
        try:
            return self.writer.reference(function), args, call.kwargs, names
        except NotLiteral as error:
            raise NotHere(
                f"a test cannot name {function.__name__!r}: {error}"
            ) from None

    def _method(self, first: Any, owner: str, name: str) -> str | None:
        """The expression of a method that is called on its first argument."""
        kind = first if isinstance(first, type) else type(first)
        if owner not in [base.__name__ for base in kind.__mro__]:
            return None
        if name in ("__init__", "__new__", "__post_init__"):
            return self._named_class(kind)
        if isinstance(first, type):
            return f"{self._named_class(kind)}.{name}"
        variable = _variable_for(kind)
        written, note = self._value(variable, first)
        variable = self._assigned(variable, written, note)
        if name == "__call__":
            return variable
        if name.startswith("__") and not name.endswith("__"):
            name = f"_{owner.lstrip('_')}{name}"
        return f"{variable}.{name}"

    def _named_class(self, kind: type) -> str:
        try:
            return self.writer.reference(kind)
        except NotLiteral as error:
            raise NotHere(f"a test cannot name {kind.__name__!r}: {error}") from None

    def _object(self, function: Any) -> str:
        """A library's function, or an object that is called."""
        if _is_bound(function):
            variable = _variable_for(type(function.__self__))
            written, note = self._value(variable, function.__self__)
            name = self._assigned(variable, written, note)
            return f"{name}.{function.__name__}"
        try:
            return self.writer.reference(function)
        except NotLiteral:
            written, note = self._value("function", function)
            return self._assigned("function", written, note)


def _is_bound(function: Any) -> bool:
    """Whether it is the method of an object: no class's, and no module's function."""
    bound = isinstance(function, (MethodType, BuiltinMethodType))
    owner = getattr(function, "__self__", None)
    return bound and not (owner is None or isinstance(owner, (type, ModuleType)))


def _with_cells(function: FunctionType, cells: dict[str, Any]) -> FunctionType:
    """A function with the values from around it as they were when it was called."""
    import types

    closure = tuple(
        types.CellType(cells[name]) if name in cells else cell
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
    )
    made = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, closure
    )
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    made.__dict__.update(function.__dict__)
    return made


def _as_keyword(name: str) -> str:
    """What stands before the value of a named argument; ``**`` where it is no name."""
    return f"{name}=" if _is_name(name) else f"**{{{quoted(name)}: "


def _variable_for(kind: type) -> str:
    """``fitted_model`` for an object of ``FittedModel``."""
    letters: list[str] = []
    for place, letter in enumerate(kind.__name__):
        if letter.isupper() and place and not kind.__name__[place - 1].isupper():
            letters.append("_")
        letters.append(letter.lower())
    return "".join(letters).strip("_") or "instance"


def _is_name(name: str) -> bool:
    import keyword

    return name.isidentifier() and not keyword.iskeyword(name)


def _names_of(call: FunctionCall) -> list[str]:
    """A name for each positional argument."""
    if call.code is not None:
        code = call.code
        known = code.co_varnames[: code.co_argcount]
    else:
        known = tuple(map(str, parameter_names(call.function)))
    count = len(call.args)
    return [known[n] if n < len(known) else f"argument_{n + 1}" for n in range(count)]


def _defaults_of(call: FunctionCall) -> dict[str, Any]:
    """Defaults of parameters, if all of them can be given by name."""
    try:
        parameters = inspect.signature(call.function).parameters.values()
    except (TypeError, ValueError):
        return {}
    if {each.kind for each in parameters} & {_BY_PLACE, _ANY_NUMBER}:
        return {}
    return {each.name: each.default for each in parameters}


def _awaited(call: FunctionCall, written: Expression) -> list[Expression]:
    """The statement that has a call run to its end."""
    flags = call.code.co_flags if call.code is not None else 0
    if flags & inspect.CO_ASYNC_GENERATOR:
        raise NotHere("a test of an asynchronous generator is not written")
    if flags & inspect.CO_COROUTINE:
        return [Expression("asyncio.run(", (written,), ")")]
    if flags & inspect.CO_GENERATOR:
        head = Expression(f"for _ in {written.head}", written.items, "):")
        return [head, plain("    pass")]
    return [written]


def imports_for(call: FunctionCall) -> Iterator[str]:
    flags = call.code.co_flags if call.code is not None else 0
    if flags & inspect.CO_COROUTINE:
        yield "import asyncio"
