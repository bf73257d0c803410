"""Exceptions that go from one process to another, of whatever class, with the text of their traceback."""

from __future__ import annotations

import pickle
import sys
import traceback
from importlib import import_module
from typing import Any

import attrs

from pq_core.main_module import importable_name


@attrs.frozen(kw_only=True)
class PackedError:
    """An exception on its way.

    Attributes:
        whole: it, pickled; None if it would not come out of that as it was.
        module: of its class.
        name: of its class, qualified.
        args: each of its arguments, pickled, or else its text.
        state: its attributes that can be pickled, pickled.
        trace: the text of its traceback, and of the errors behind it.
    """

    whole: bytes | None
    module: str
    name: str
    args: tuple[bytes | str, ...]
    state: dict[str, bytes]
    trace: str


class Elsewhere(Exception):
    """The cause of an error that was raised in another process: the traceback there, as a text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f"in a process of its own:\n\n{self.trace}"


def pack(error: BaseException) -> PackedError:
    """Make an exception ready to go."""
    whole = _pickled(error)
    if whole is not None and type(_unpickled(whole)) is not type(error):
        whole = None
    state = {name: _pickled(value) for name, value in getattr(error, "__dict__", {}).items()}
    return PackedError(
        whole=whole,
        module=type(error).__module__,
        name=type(error).__qualname__,
        args=tuple(_pickled(each) or _text(each) for each in error.args),
        state={name: value for name, value in state.items() if value is not None},
        trace=_trace(error),
    )


def unpack(packed: PackedError) -> BaseException:
    """Return the exception. If its class cannot be had here, it is of another one with the same name."""
    error = None if packed.whole is None or _is_of_main(packed.module) else _unpickled(packed.whole)
    if not isinstance(error, BaseException):
        error = _rebuilt(packed)
    error.__cause__ = Elsewhere(packed.trace)
    return error


def _rebuilt(packed: PackedError) -> BaseException:
    """Make the exception without calling its class, whose arguments may be others than those that it keeps."""
    args = tuple(each if isinstance(each, str) else _unpickled(each) for each in packed.args)
    for kind in filter(None, (_class(packed.module, packed.name), _stand_in(packed))):
        try:
            error: BaseException = kind.__new__(kind, *args)
            error.args = args
            for name, value in packed.state.items():
                setattr(error, name, _unpickled(value))
        except Exception:  # noqa: BLE001, S112 - the class is the user's, and the next will do
            continue
        return error
    return _stand_in(packed)(*args)


def _class(module: str, name: str) -> type[BaseException] | None:
    try:
        found: Any = sys.modules["__main__"] if _is_of_main(module) else import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:  # noqa: BLE001 - it can only be had in the other process: one of __main__, or inside a function
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _is_of_main(module: str) -> bool:
    """Return whether it is the program that runs, which must not be imported a second time under its own name."""
    return module not in sys.modules and module == importable_name("__main__")


def _stand_in(packed: PackedError) -> type[BaseException]:
    names = {"__module__": packed.module, "__qualname__": packed.name}
    return type(packed.name.rpartition(".")[2], (Exception,), names)


def _pickled(value: object) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 - that is the question
        return None


def _unpickled(value: bytes) -> Any:
    try:
        return pickle.loads(value)  # noqa: S301 - of a process that runs our code
    except Exception:  # noqa: BLE001 - that is the question
        return None


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a class of the user's
        return f"<{type(value).__qualname__}>"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - format_exception calls __str__, __notes__ and __cause__
        return ""
