"""Code -> its file and its text, wherever that is still known.

What cloudpickle pickled by value comes without its file's name
(`remote.common.codes`). It is found again by what the code is: in the texts and
functions of this process, and in files that somebody names.
"""

from dbgkit.source.finding import Found, Index
from dbgkit.source.named import (
    name_for_process,
    named_sources,
    naming_sources,
    read_sources,
)
from dbgkit.source.reading import Reader

__all__ = [
    "Found",
    "Index",
    "Reader",
    "name_for_process",
    "named_sources",
    "naming_sources",
    "read_sources",
]
