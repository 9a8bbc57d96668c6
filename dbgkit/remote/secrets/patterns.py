"""Regular expressions that are compiled with their first use.

There are some hundred that find secrets; compiling them took a tenth of what a first
replay takes, and it may show nothing in which secrets have to be found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    regex = re.compile
else:

    class regex:
        """As ``re.compile`` gives it, but later. An error is raised with the use."""

        def __init__(self, text: Any, flags: int = 0) -> None:
            self._made_of = (text, flags)

        def __getattr__(self, name: str) -> Any:
            found = getattr(re.compile(*self._made_of), name)
            setattr(self, name, found)  # the next use goes there directly
            return found
