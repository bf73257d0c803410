"""What takes part: each queue does the same few things, in a process of its own, told by its command line.

These modules are run by the interpreters of other environments, so they import the standard library, their queue and
each other, and nothing else.
"""
