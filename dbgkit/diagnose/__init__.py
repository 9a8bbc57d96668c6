"""What lies behind many failures: their root causes."""

from dbgkit.diagnose.causes import root_causes

__all__ = ["root_causes"]
