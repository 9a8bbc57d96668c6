"""From a target to its failure."""

from dbgkit.locate.again import look_again
from dbgkit.locate.failures import locate_failures

__all__ = ["locate_failures", "look_again"]
