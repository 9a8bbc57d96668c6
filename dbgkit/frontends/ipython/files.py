"""The magics of files: ``%dbg_save`` and ``%dbg_load``."""

from __future__ import annotations

import os
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class

from dbgkit.frontends.ipython.base import Line, magic, show
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import BUNDLE, function_of


@magics_class
class FileMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_save`` and ``%dbg_load``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @magic
    def dbg_save(self, asked: Line) -> Any:
        """Save a failure as one file, with its frames, the call and its inputs.

        %dbg_save [options] [target]
            Takes what %dbg takes. The task is run again in this process.
        """
        from dbgkit.render import Notifier

        target = self.session.meant(asked.target)
        asked.options.setdefault("path", BUNDLE)
        with Notifier() as notify:
            return show(asked, function_of("save"), target, notify=notify)

    @magic
    def dbg_load(self, asked: Line) -> Any:
        """Open a file that was saved: a target for %dbg.

        bundle = %dbg_load [options] FILE
            Nothing of the file is run. With --trust it is a target for %dbg_replay
            too.
        """
        path = asked.typed.strip("'\"")
        if isinstance(asked.target, os.PathLike):
            path = os.fspath(asked.target)
        if not path:
            raise UsageError(f"%dbg_load needs a file, such as {BUNDLE}")
        return show(asked, function_of("load"), os.path.expanduser(path))
