"""What the debugger room relies on in pdb, IPython and ipykernel, by name."""

from __future__ import annotations

import inspect
import pdb
import sys

from ipykernel.kernelbase import Kernel
from IPython.core.debugger import Pdb as IPythonPdb
from IPython.core.display_trap import DisplayTrap
from IPython.core.interactiveshell import InteractiveShell
from IPython.terminal.debugger import TerminalPdb

from dbgkit.debugger import choose


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_pdb_asks_get_stack_where_to_start():
    assert parameters(pdb.Pdb.get_stack) == ["self", "f", "t"]
    assert parameters(pdb.Pdb.interaction)[:2] == ["self", "frame"]
    assert parameters(pdb.Pdb.setup) == ["self", "f", "tb"]


def test_pdb_moves_by_counts_given_as_text():
    assert parameters(pdb.Pdb.do_up) == ["self", "arg"]
    assert parameters(pdb.Pdb.do_down) == ["self", "arg"]


def test_pdbs_continue_takes_ctrl_c_and_remembers_whose_it_was():
    assert pdb.Pdb._previous_sigint_handler is None
    assert {"sigint_handler", "nosigint"} <= set(pdb.Pdb.do_continue.__code__.co_names)


def test_pdb_runs_the_lines_of_its_file_as_it_opens_and_can_do_without():
    assert pdb.Pdb(readrc=False).rcLines == []
    runs = pdb.Pdb.setup if hasattr(pdb.Pdb, "_cmdloop") else pdb.Pdb.interaction
    assert {"rcLines", "execRcLines"} & set(runs.__code__.co_names)


def test_pdb_prints_to_its_stdout_and_has_commands_print_there():
    assert "stdout" in pdb.Pdb.message.__code__.co_names
    assert "stdout" in pdb.Pdb.default.__code__.co_names


def test_pdbs_where_goes_through_print_stack_trace():
    assert "print_stack_trace" in pdb.Pdb.do_where.__code__.co_names


def test_ipython_asks_hidden_frames_what_to_leave_out():
    assert parameters(IPythonPdb.hidden_frames) == ["self", "stack"]
    for command in (IPythonPdb.do_up, IPythonPdb.do_down, IPythonPdb.print_stack_trace):
        assert "hidden_frames" in command.__code__.co_names
        assert "skip_hidden" in command.__code__.co_names


def test_ipython_takes_an_exception():
    assert parameters(IPythonPdb.interaction)[:3] == ["self", "frame", "tb_or_exc"]
    assert hasattr(IPythonPdb, "do_exceptions")


def test_exceptions_lists_what_get_tb_and_exceptions_gives():
    found = [IPythonPdb, *([pdb.Pdb] if sys.version_info >= (3, 13) else [])]
    for debugger in found:
        assert parameters(debugger._get_tb_and_exceptions) == ["self", "tb_or_exc"]
        assert "_get_tb_and_exceptions" in debugger.interaction.__code__.co_names


def test_ipython_shells_name_their_debugger():
    found = inspect.getattr_static(InteractiveShell, "debugger_cls")
    debugger_cls = found.fget(None) if isinstance(found, property) else found
    assert issubclass(debugger_cls, IPythonPdb)
    assert issubclass(TerminalPdb, IPythonPdb)
    assert parameters(DisplayTrap.__init__) == ["self", "hook"]


def test_a_kernel_says_whether_it_takes_input():
    # Used by `choose._kernel_takes_input`.
    assert "_allow_stdin" in Kernel.class_trait_names() or hasattr(
        Kernel, "_allow_stdin"
    )
    assert not choose._kernel_takes_input(object())
