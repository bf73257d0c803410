"""What makes a job unique: its key, among which jobs, for how long, and what becomes of a second one.

A key is taken by a job as it is stored, and free when that job leaves the scope of the key. The rules stand with
`Connector.defer`; here keys are made of options and arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast

import attrs

from pq_core.delays import Delay, as_timedelta
from pq_core.errors import AlreadyDeferred, InvalidArguments, InvalidOption, shown
from pq_core.given import as_option, several
from pq_core.job import NewJob, OnConflict, Scope, check_on_conflict, check_scope, check_unique_key, overwrite
from pq_core.payload import dump_mapping, encoder, load

_LONGEST_PREFIX = 400
_DICT: Any = dict
"""Any, so that what is tested for it stays what it is to pyright."""


@attrs.frozen(kw_only=True)
class Unique:
    """How the jobs of a task are unique, as the option `unique` of a task or of `configure` takes it.

    Args:
        key: a text that names what there may be one of. Tasks that give the same key share it. None: the key is made of
            the names of task and queue, and of arguments.
        args: of which arguments, where there is no `key`: all, none, or those of these names. What a job was deferred
            without counts as absent, whatever its default.
        scope: ``waiting``: among jobs that wait to run; the key is free as soon as the job starts, and taken again if
            the job goes back to wait. ``live``: among jobs that wait or run. Keys of the two do not see each other.
        period: besides, how long the key stays taken after it was, whatever becomes of the job: a timedelta or a dict
            such as ``{"minutes": 5}``.
        on_conflict: ``raise``: `AlreadyDeferred`, and nothing is stored. ``skip``: the answer is the id of the job that
            has the key. ``replace``: likewise, and if that job still waits, it takes over arguments, time, priority,
            metadata, version and expiry of the new one.

    Raises:
        InvalidOption: a value that makes no sense.

    .. versionadded:: 0.1
    """

    key: str | None = None
    args: bool | Iterable[str] = True
    scope: Scope = "waiting"
    period: Delay | timedelta | None = None
    on_conflict: OnConflict = "raise"

    def __attrs_post_init__(self) -> None:
        with as_option("unique: "):
            if self.key is not None:
                overwrite(self, key=check_unique_key(self.key))
            overwrite(self, scope=check_scope(self.scope), on_conflict=check_on_conflict(self.on_conflict))
            if self.period is not None:
                overwrite(self, period=as_timedelta(self.period, "period"))
        if self.period == timedelta(0):
            raise InvalidOption("unique: period is no time at all; None means none")
        if not isinstance(self.args, bool):
            overwrite(self, args=_names(self.args))
        if self.key is not None and self.args is not True:
            raise InvalidOption(f"unique: key {shown(self.key)} and args {shown(self.args)} exclude each other")

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a `NewJob` that make it unique, besides its key."""
        return {"unique_scope": self.scope, "unique_period": self.period, "on_conflict": self.on_conflict}

    def key_for(self, task: str, queue: str, args: Mapping[str, Any]) -> str:
        """Return the key of a job.

        Raises:
            InvalidArguments: it is made of arguments, and JSON cannot carry them.
        """
        return self.key or self._made_key(task, queue, args)

    def _made_key(self, task: str, queue: str, args: Mapping[str, Any]) -> str:
        """Return the task's name, and a hash: of the JSON, so that 1 and 1.0 differ, a tuple and a list do not."""
        if self.args is not True:
            args = {name: args[name] for name in cast("tuple[str, ...]", self.args or ()) if name in args}
        begin, beginning = _beginnings(task, queue)
        try:
            text = _encode(args if type(args) is _DICT else {**args})
        except Exception:  # noqa: BLE001 - of what JSON cannot carry, the next line says what it is
            text = _encode(load(dump_mapping(args, "args", error=InvalidArguments)))
        return begin + sha256(f"{beginning}{text}]".encode()).hexdigest()


@lru_cache(maxsize=1000)
def _beginnings(task: str, queue: str) -> tuple[str, str]:
    """Return that of the key, and of the JSON of task, queue and arguments, which is what is hashed."""
    return f"{task[:_LONGEST_PREFIX]}:", _encode([task, queue])[:-1] + ","


_encode = encoder(ensure_ascii=True, sort_keys=True)


def as_unique(unique: object, queueing_lock: str | None = None) -> Unique | None:
    """Return what the options `unique` and `queueing_lock` mean, of which one at most is given; None: nothing.

    Raises:
        InvalidOption: both are given, or a value is wrong.
    """
    if queueing_lock is not None:
        if unique is not None and unique is not False:
            raise InvalidOption(
                f"queueing_lock {shown(queueing_lock)} and unique {shown(unique)} exclude each other: a queueing lock "
                "is the key of Unique(key=..., scope='waiting')"
            )
        with as_option("queueing_lock: "):
            return Unique(key=check_unique_key(queueing_lock))
    if unique is None or isinstance(unique, Unique):
        return unique
    if isinstance(unique, bool):
        return Unique() if unique else None
    if isinstance(unique, str):
        return Unique(key=unique)
    raise InvalidOption(f"unique {shown(unique)} is neither a Unique, nor a key, nor True, nor False")


def check_unique(unique: Unique | None, task: str, known: Sequence[str] | None) -> None:
    """Refuse names in `unique.args` that are no arguments of a task; None: it may take any.

    Raises:
        InvalidOption: there is one.
    """
    if unique is None or known is None or isinstance(unique.args, bool):
        return
    strange = [name for name in unique.args if name not in known]
    if strange:
        names = ", ".join(known) or "none"
        raise InvalidOption(f"unique: args names {strange[0]!r}, no argument of task {task!r}; it has {names}")


def already_deferred(job: NewJob, holder: int | None, index: int | None) -> AlreadyDeferred:
    """Return the error for a job whose key is taken.

    Args:
        job: which was not stored.
        holder: id of the job that has the key; None: another job of the batch, of which nothing is stored either.
        index: place of the job in its batch; None if it is the only one.
    """
    where = "another job of the batch" if holder is None else f"job {holder}"
    message = f"unique_key {shown(job.unique_key)} is taken by {where}"
    refused = AlreadyDeferred(message, value=job.unique_key, job_id=holder or 0)
    return refused if index is None else refused.at(index)


def _names(args: object) -> tuple[str, ...]:
    names = several("unique: args", args, "True, False or a list of names of arguments")
    for name in names:
        if not isinstance(name, str):
            raise InvalidOption(f"unique: args holds {shown(name)}, which is not the name of an argument")
    if not names:
        raise InvalidOption("unique: args is an empty list; False means that arguments do not matter")
    return tuple(dict.fromkeys(names))
