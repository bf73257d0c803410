"""A real queue that does real work: one job per file, one lock per directory, and a manifest to check it by.

`listing` finds the files, `tasks` is what the worker runs, `place` is where the jobs are, `crew` runs the worker in a
process of its own, `manifest` is what comes out, and `show` is all of it in order.
"""
