"""Watching an object: a fake, a list, a mock, or what a function returns."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import attrs

from pq_core.errors import shown
from pq_testing import no_loop
from pq_testing.effects.camera import SCALARS, fields_of, is_mock, take
from pq_testing.effects.change import Change
from pq_testing.effects.difference import differences
from pq_testing.effects.errors import CannotRead, CannotWatch
from pq_testing.effects.ignoring import Ignored
from pq_testing.effects.picture import Picture

FUNCTIONS: tuple[type, ...] = (FunctionType, MethodType, BuiltinFunctionType, partial)
COLLECTIONS: tuple[type[Any], ...] = (list, dict, set, deque, bytearray)
FIXED: tuple[type[Any], ...] = (tuple, frozenset)


@attrs.frozen(eq=False)
class WatchedObject:
    """An object, and what is not to be looked at in it."""

    name: str
    target: Any
    ignored: Ignored

    @classmethod
    def make(cls, target: Any, name: str, ignore: object) -> WatchedObject:
        """Check what the user gave.

        Raises:
            CannotWatch: it cannot change, or is a function that wants arguments.
        """
        if _is_function(target):
            _check_signature(target, name)
        elif type(target) in SCALARS or isinstance(target, FIXED):
            raise CannotWatch(
                f"{shown(target)} cannot change, so there is nothing to watch: pass what holds it, or a function that "
                'returns it, as in watch(lambda: counter.total, name="total").'
            )
        elif not (is_mock(target) or isinstance(target, COLLECTIONS)) and fields_of(target) is None:
            raise CannotWatch(
                f"a {type(target).__qualname__} does not show what it is made of: pass a function that returns what "
                f'matters of it, as in watch(lambda: list({name}), name="{name}").'
            )
        return cls(name, target, Ignored.make(ignore))

    def look(self) -> Picture:
        """Return a picture of the object as it is.

        Raises:
            CannotRead: it is a function that raised, or that has to be awaited.
        """
        if not _is_function(self.target):
            return take(self.target, self.name, whole=True)
        value = self._called()
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise CannotRead(
                f"{self.name} is watched through an async function: await snapshot_async() and changes_since_async(), "
                "or drain with `await run_jobs.run_async()`."
            )
        return take(value, self.name, whole=True)

    async def look_async(self) -> Picture:
        """Do what :meth:`look` does; the function may be an async one."""
        if not _is_function(self.target):
            return take(self.target, self.name, whole=True)
        # A function that cannot await finds no event loop, as a sync task finds none: Django's database wants it so.
        waits = inspect.iscoroutinefunction(self.target)
        value = self._called() if waits else no_loop.call(self._called)
        if inspect.isawaitable(value):
            try:
                value = await value
            except Exception as error:
                raise self._unreadable(error) from error
        return take(value, self.name, whole=True)

    def changes(self, before: Picture, after: Picture) -> Iterator[Change]:
        """Yield what is different, and counts."""
        for change in differences(self.name, before, after):
            if not self.ignored.covers(change, self.name):
                yield change

    def _called(self) -> Any:
        try:
            return self.target()
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> CannotRead:
        return CannotRead(f"{self.name}, a watched function, raised {type(error).__qualname__}: {error}")


def _is_function(target: object) -> bool:
    # An instance with __call__ is a fake more often than a function: watched for what it holds.
    return isinstance(target, FUNCTIONS) and not is_mock(target)


def _check_signature(function: Any, name: str) -> None:
    try:
        inspect.signature(function).bind()
    except ValueError:  # a built-in function that shows no signature
        return
    except TypeError as wanting:
        raise CannotWatch(
            f"{name} is a function that cannot be called without arguments ({wanting}); watch() compares what a "
            "function returns: give the arguments with a lambda or functools.partial."
        ) from None
