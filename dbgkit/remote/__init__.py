"""Code that runs inside schedulers, workers, nannies and children; imports only itself.

It is sent to clusters as source: all of it needs Python and what Dask depends on, and
nothing else. What belongs to type checkers alone (`common.wire` and its siblings) stays
at home.
"""
