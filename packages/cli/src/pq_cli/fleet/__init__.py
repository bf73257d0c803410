"""`pq worker --processes N`: N workers, each in a process of its own, and the process that sees to them.

`launch` checks the words as one worker does, and makes room for the parent: this process becomes `python -m
pq_cli.fleet`, under the same process id, so that the parent carries neither the app nor the command line. The parent
(`parent`, `place`, `ears`) imports little, opens no connection and runs no job. Its children (`member`) are started
anew, never forked; they hear from it by a pipe (`leash`), whose end is the parent's end.
"""
