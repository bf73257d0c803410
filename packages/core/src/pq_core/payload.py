"""JSON, as both connectors carry it: what goes in comes out equal, and what cannot is refused.

Arguments, results and metadata are stored as JSON *text*, so that key order, 1e22, -0.0 and big integers come back as
they were. What JSON would change in silence (keys that are not strings) or PostgreSQL cannot hold (NUL, half of a
surrogate pair) is an error here, before anything is written. Tuples become lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from pq_core.errors import InvalidArguments, InvalidJob

JSON = Any
"""A value that JSON carries: None, bool, int, float, str, a list of these, or a dict of these by str."""

_LINE = 80
_SCALARS = frozenset({str, int, float, bool, type(None)})
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

load: Callable[[str | bytes], Any] = json.loads


def dump(value: Any, field: str = "args", *, error: type[InvalidJob] = InvalidArguments) -> str:
    """Return the JSON text of `value`.

    Args:
        value: what to carry.
        field: how an error names it.
        error: the class of the error.

    Raises:
        InvalidJob: JSON cannot carry `value`; the message names the path to the culprit, such as ``args['user'][0]``.
    """
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()
    except (TypeError, ValueError, RecursionError) as reason:  # UnicodeEncodeError is a ValueError
        raise _refusal(value, field, error, str(reason)) from None
    nested = value.values() if type(value) is dict else (value,)
    if "\\u0000" in text or any(type(item) not in _SCALARS for item in nested) or not _keys_fit(value):
        culprit = _culprit(value, field)
        if culprit:
            raise _refusal(value, field, error, "")
    return text


def dump_mapping(value: object, field: str, *, error: type[InvalidJob]) -> str:
    """Return the JSON text of a mapping, as an object.

    Raises:
        InvalidJob: it is no mapping, or JSON cannot carry it.
    """
    if type(value) is dict:
        return dump(value, field, error=error) if value else "{}"
    if not isinstance(value, Mapping):
        kind = type(value).__qualname__
        raise error(f"{field} is a {kind}, not a mapping of names to values", field=field, value=value)
    return dump({**value}, field, error=error)


def clean_text(text: str) -> str:
    """Return `text` without what PostgreSQL cannot store: NUL is dropped, half a surrogate pair becomes ``?``."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _keys_fit(value: Any) -> bool:
    return type(value) is not dict or all(type(key) is str for key in value)


def _refusal(value: Any, field: str, error: type[InvalidJob], reason: str) -> InvalidJob:
    try:
        path, found, why = _culprit(value, field) or (field, value, reason)
    except RecursionError:
        path, found, why = field, "...", "it is nested too deeply, or holds itself"
    return error(f"{path} = {_short(found)} cannot be stored as JSON: {why}", field=field, value=found)


def _culprit(value: Any, path: str) -> tuple[str, Any, str] | None:
    """Find the first part of `value` that JSON cannot carry: its path, the part, and why."""
    if isinstance(value, str):
        return _text_fault(value, path)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            return path, "...", "the integer has more digits than Python will convert"
        return None
    if isinstance(value, float):
        return (path, value, "JSON has no NaN and no infinity") if not isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return next(filter(None, (_culprit(item, f"{path}[{place}]") for place, item in enumerate(value))), None)
    if isinstance(value, dict):
        return _mapping_fault(value, path)
    return path, value, f"a {type(value).__qualname__} is not a JSON value; convert it, or pass an id instead"


def _mapping_fault(value: Mapping[Any, Any], path: str) -> tuple[str, Any, str] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return path, key, "a key of a JSON object is a string"
        fault = _text_fault(key, f"key of {path}") or _culprit(item, f"{path}[{key!r}]")
        if fault:
            return fault
    return None


def _text_fault(text: str, path: str) -> tuple[str, Any, str] | None:
    if "\x00" in text:
        return path, text, "PostgreSQL stores no NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return path, text, "it holds half of a surrogate pair, which is not valid Unicode"
    return None


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _LINE else f"{text[:_LINE]}..."
