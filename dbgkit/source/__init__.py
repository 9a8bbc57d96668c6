"""From code to its file and its text, as far as they are known.

What cloudpickle pickled by value arrives without its file's name
(`remote.common.codes`). It is found again by the code itself: in the texts and
functions of this process, and in files that the user names.
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
