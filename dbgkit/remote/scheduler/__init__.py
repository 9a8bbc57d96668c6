"""What runs inside the scheduler, which it is sent to as source.

All that it returns is builtin types, and all that it reads stays as it is. A pass over
many tasks yields to the event loop. ``state`` is the live scheduler, or a dump that
stands in for it.
"""
