"""The command line: ``dbgkit``, ``python -m dbgkit`` and ``dask dbgkit``."""

from dbgkit.frontends.cli.main import cli, main

__all__ = ["cli", "main"]
