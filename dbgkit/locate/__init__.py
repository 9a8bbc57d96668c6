"""From a target to its failure."""

from dbgkit.locate.failures import locate_failures, look_again

__all__ = ["locate_failures", "look_again"]
