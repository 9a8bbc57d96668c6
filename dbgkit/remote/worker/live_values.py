"""Values at the prompt of a stopped task, and what is typed there.

pdb exchanges ``sys.stdout`` and ``sys.displayhook`` of the whole process while it runs
a statement; here nothing of the process is exchanged: what is typed is evaluated with a
``print`` and an ``input`` of its own.
"""

from __future__ import annotations

import ast
import codeop
import ctypes
import pdb
import pydoc
import sys
from collections.abc import Iterator, MutableMapping
from types import FrameType
from typing import Any

from ..common.aborting import Aborted
from ..common.parsing import parsed
from .live_box import Box
from .live_console import Console, described
from .live_prompt import GoOn, Interrupted

_CONVENIENCE = "__pdb_convenience_variables"  # what pdb reads ``$name`` from
_SAVES_LOCALS = sys.version_info < (3, 13)  # a frame's f_locals is a copy


class Values(pdb.Pdb):
    """Mixin for pdb: expressions and statements are the session's own."""

    box: Box
    conveniences: dict[str, Any]

    @property
    def _names(self) -> MutableMapping[str, Any]:
        """The current frame's own names."""
        assert self.curframe is not None
        # Read anew each time: before Python 3.13 that is what has assignments saved.
        found: Any = self.curframe.f_locals
        names: MutableMapping[str, Any] = found
        return names

    def _own_functions(self) -> dict[str, Any]:
        assert self.curframe is not None
        spaces = self.curframe.f_globals
        return {
            "print": self._print,
            "input": self._input,
            "help": self._help,
            "globals": lambda: spaces,
            # Python's own close the process's stdin.
            "exit": self._leave,
            "quit": self._leave,
            _CONVENIENCE: self.conveniences,
        }

    def set_convenience_variable(self, frame: Any, name: str, value: Any) -> None:
        """Keep ``$_frame`` and the like here.

        pdb (from Python 3.12 on) puts them into the globals of the user's own module,
        where a frame would stay alive with all its values.
        """
        self.conveniences[name] = value

    def _print(self, *values: Any, file: Any = None, **options: Any) -> None:
        """``print`` at the prompt: it goes to whoever typed it."""
        print(*values, file=self.box if file is None else file, **options)

    def _input(self, prompt: object = "") -> str:
        """``input`` at the prompt: it asks whoever typed it."""
        return self.box.line(str(prompt))

    def _help(self, *things: object) -> None:
        """``help`` at the prompt: Python's own opens a pager of the process."""
        for each in things:
            self._print(pydoc.plain(pydoc.render_doc(each)))
        if not things:
            self._print("help(thing) describes it; h lists the commands of the prompt")

    def _leave(self, code: object = None) -> None:
        """``exit`` and ``quit`` at the prompt."""
        self.do_quit("")

    def _evaluate(self, source: str | ast.expr) -> Any:
        """The value of an expression, whose inner functions see all names too."""
        assert self.curframe is not None
        if isinstance(source, str):
            compile(source.strip(), "<stdin>", "eval")  # its errors are what one reads
            source = parsed(source.strip(), "eval").body
        tree: Any = source
        compiled = compile(ast.Expression(tree), "<stdin>", "eval")
        names = dict(self._names)
        space = {**self._own_functions(), **self.curframe.f_globals, **names}
        try:
            return eval(compiled, space, names)
        finally:
            assigned = [e for e in ast.walk(tree) if isinstance(e, ast.NamedExpr)]
            for each in assigned:
                if each.target.id in names:
                    self._names[each.target.id] = names[each.target.id]
            if assigned:
                self._save_locals()

    def _execute(self, source: str) -> None:
        """Run statements as the current frame's own; show values of expressions."""
        assert self.curframe is not None
        spaces = self.curframe.f_globals
        for statement in parsed(source).body:
            if isinstance(statement, ast.Expr):
                value = self._evaluate(statement.value)
                if value is not None:
                    self.message(repr(value))
                continue
            compiled = compile(ast.Module([statement], []), "<stdin>", "exec")
            names = _Names(self._names, spaces, self._own_functions())
            try:
                exec(compiled, spaces, names)
            finally:
                self._save_locals()

    def _save_locals(self) -> None:
        """Make assignments those of the frame at once.

        Before Python 3.13, whatever reads ``f_locals`` next would undo them.
        ``PyFrame_LocalsToFast`` (Objects/frameobject.c) does so once for each time
        that they were read.
        """
        if _SAVES_LOCALS and self.curframe is not None:
            frame = ctypes.py_object(self.curframe)
            ctypes.pythonapi.PyFrame_LocalsToFast(frame, ctypes.c_int(0))

    def default(self, line: str) -> None:
        """A statement: run it, after the rest of it, if it has more lines."""
        source = line[1:].strip() if line[:1] == "!" else line
        try:
            if codeop.compile_command(f"{source}\n", "<stdin>", "single") is None:
                source += f"\n{self._more()}"
                while codeop.compile_command(source, "<stdin>", "single") is None:
                    source += f"\n{self._more()}"
            self._execute(source)
        except (GoOn, Aborted):
            raise
        except BaseException as error:  # whatever the user's own statement raises
            self._show_error(error)

    def _more(self) -> str:
        before, self.prompt = self.prompt, "...   "
        try:
            return self.box.command()
        finally:
            self.prompt = before

    def _getval(self, arg: str) -> Any:
        try:
            return self._evaluate(arg)
        except GoOn:
            raise
        except BaseException as error:
            self._show_error(error)
            raise

    def _getval_except(self, arg: str, frame: FrameType | None = None) -> Any:
        try:
            if frame is None:
                return self._evaluate(arg)
            return eval(arg, frame.f_globals, frame.f_locals)
        except GoOn:
            raise
        except BaseException as error:
            return _Shown(f"** raised {described(error)} **")

    def _show_error(self, error: BaseException) -> None:
        self.error("interrupted" if type(error) is Interrupted else described(error))

    def do_interact(self, arg: str) -> None:
        """interact

        Start an interpreter with all names of the current scope; end it with
        exit() or Ctrl-D.
        """
        assert self.curframe is not None
        own = self._own_functions()
        del own["exit"], own["quit"]  # they end the interpreter
        space = {**own, **self.curframe.f_globals, **self._names}
        Console(space, self.box).interact()


class _Shown(str):
    """A text that is shown as it is."""

    def __repr__(self) -> str:
        return str(self)


class _Names(MutableMapping[str, Any]):
    """Names that a statement at the prompt sees: `print` and `input` are its own."""

    def __init__(
        self,
        names: MutableMapping[str, Any],
        above: MutableMapping[str, Any],
        own: MutableMapping[str, Any],
    ) -> None:
        self._own_names = names
        self._above = above
        self._ours = own

    def __getitem__(self, name: str) -> Any:
        if name in self._ours and not (name in self._own_names or name in self._above):
            return self._ours[name]
        return self._own_names[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._own_names[name] = value

    def __delitem__(self, name: str) -> None:
        del self._own_names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own_names)

    def __len__(self) -> int:
        return len(self._own_names)
