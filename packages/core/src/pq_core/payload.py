"""JSON, as both connectors carry it: what goes in comes out equal, and what cannot is refused.

Arguments, results and metadata are stored as JSON *text*, so that key order, 1e22, -0.0 and big integers come back as
they were. What JSON would change in silence (keys that are not strings) or PostgreSQL cannot hold (NUL, half of a
surrogate pair) is an error here, before anything is written. Tuples become lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from math import isfinite
from typing import Any, cast

from pq_core.errors import InvalidArguments, InvalidJob, shown

JSON = Any
"""A value that JSON carries: None, bool, int, float, str, a list of these, or a dict of these by str."""

MAX_DEPTH = 500
"""Lists and dicts inside of each other: more, and a Python with a deep stack may not read them back."""

NO_NAMES = cast("Callable[[], dict[str, Any]]", dict)
"""Makes an empty mapping of names to values."""

# Any, so that what is tested for them stays Any: of the parts of an Any that is a `dict`, pyright complains.
_OBJECT: Any = dict
_ARRAY: Any = (list, tuple)

_SCALARS = frozenset({str, int, float, bool, type(None)})
_PLAIN_KEYS = frozenset({str})
_DICTS = frozenset({dict})
_values_of: Callable[[Any], Iterable[Any]] = _OBJECT.values
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep, or holds itself"


def encoder(*, ensure_ascii: bool, sort_keys: bool) -> Callable[[Any], str]:
    """Return a function that makes JSON of a value, or raises what `json` does.

    It is `json.JSONEncoder.encode`, less what that does anew for each value. To find a list or dict that holds itself
    is left to the limit of recursion.
    """
    slow = json.JSONEncoder(ensure_ascii=ensure_ascii, allow_nan=False, sort_keys=sort_keys, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without it
        return slow.encode
    texts = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    parts = make(None, slow.default, texts, None, ":", ",", sort_keys=sort_keys, skipkeys=False, allow_nan=False)

    def encode(value: Any) -> str:
        return "".join(parts(value, 0))

    return encode


_encode = encoder(ensure_ascii=False, sort_keys=False)

_decode_first = json.JSONDecoder().raw_decode


def load(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deep.
    """
    if isinstance(text, str):
        try:
            value, end = _decode_first(text)
        except json.JSONDecodeError:
            pass  # blanks before it, or an error that is described below
        else:
            if end == len(text):  # as always in what pq has written: this way is the shorter one
                return value
    return json.loads(text)


def load_all(texts: Sequence[str]) -> list[Any]:
    """Return the values of JSON texts, read as one: that takes a fraction of the time.

    Raises:
        ValueError: one of them is none.
        RecursionError: one is nested too deep.
    """
    values: list[Any] = load(f"[{','.join(texts)}]")
    if len(values) != len(texts):
        raise ValueError("one of the texts is not one value of JSON")
    return values


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
        if "\\u0000" not in text and _fits(value):
            return text
        culprit = _culprit(value, field)
    except Exception as reason:  # noqa: BLE001 - a class of the user's may raise anything when it is looked into
        raise _refusal(value, field, error, reason) from None
    if culprit:
        raise _named(culprit, field, error)
    return text


def dump_mapping(value: object, field: str, *, error: type[InvalidJob]) -> str:
    """Return the JSON text of a mapping, as an object.

    Args:
        value: any mapping: a dict, a MappingProxyType, one of yours.
        field: how an error names it.
        error: the class of the error.

    Raises:
        InvalidJob: `value` is no mapping, or JSON cannot carry it.
    """
    if type(value) is dict:
        return dump(value, field, error=error) if value else "{}"
    mapping = check_mapping(value, field, error=error)
    try:
        plain = {**mapping}
    except Exception as reason:
        raise _named((field, value, f"{type(reason).__qualname__}: {reason}"), field, error) from reason
    return dump(plain, field, error=error)


def dump_lines(values: Sequence[object]) -> str | None:
    """Return the JSON texts of dicts of plain values, one a line; None if one of them needs a closer look."""
    if not _DICTS.issuperset(map(type, values)):
        return None
    dicts = cast("Sequence[dict[Any, Any]]", values)
    parts: Iterator[Any] = chain.from_iterable(map(_values_of, dicts))
    if not _SCALARS.issuperset(map(type, parts)) or not _PLAIN_KEYS.issuperset(map(type, chain.from_iterable(dicts))):
        return None
    try:
        text = "\n".join(map(_encode, dicts))
        if not text.isascii():
            text.encode()
    except ValueError:  # no such number, or no such text
        return None
    return None if "\\u0000" in text else text


def check_mapping(value: object, field: str, *, error: type[InvalidJob]) -> Mapping[Any, Any]:
    """Return `value`, a mapping.

    Raises:
        InvalidJob: it is none.
    """
    mapping = cast("Mapping[Any, Any]", value)
    if isinstance(value, Mapping):
        return mapping
    kind = type(value).__qualname__
    raise error(f"{field} {shown(value)} is a {kind}, not a mapping of names to values", field=field, value=value)


def exact(text: str) -> Any:
    """Read JSON with each number for what is written: as a float, 1e23 is none of its neighbours among the integers."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def same(one: Any, other: Any) -> bool:
    """Whether two values that `exact` gave are the same JSON: to Python alone, true is 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, _ARRAY):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, _OBJECT):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def has_args(args: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether arguments hold all that is wanted: each name with the same JSON. Both as `exact` gives them."""
    return all(name in args and same(args[name], value) for name, value in wanted.items())


def clean_text(text: str) -> str:
    """Return `text` without what PostgreSQL cannot store: NUL is dropped, half a surrogate pair becomes ``?``."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _fits(value: Any) -> bool:
    """Whether all keys are plain texts and nothing is too deep. JSON was made of `value`, so all else is right."""
    if type(value) is _OBJECT and _SCALARS.issuperset(map(type, value.values())):  # as most arguments are
        return _PLAIN_KEYS.issuperset(map(type, value))
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, _OBJECT):
                if not _PLAIN_KEYS.issuperset(map(type, part)):
                    return False
                below += [item for item in part.values() if type(item) not in _SCALARS]
            elif isinstance(part, _ARRAY):
                below += [item for item in part if type(item) not in _SCALARS]
        if not below:
            return True
        level = below
    return False


def _refusal(value: Any, field: str, error: type[InvalidJob], reason: Exception) -> InvalidJob:
    try:
        culprit = _culprit(value, field)
    except Exception:  # noqa: BLE001 - as in dump
        culprit = None
    why = _TOO_DEEP if isinstance(reason, RecursionError) else f"{type(reason).__qualname__}: {reason}"
    return _named(culprit or (field, value, why), field, error)


def _named(culprit: tuple[str, Any, str], field: str, error: type[InvalidJob]) -> InvalidJob:
    path, part, why = culprit
    return error(f"{path} = {shown(part)} cannot be stored as JSON: {why}", field=field, value=part)


def _culprit(value: Any, field: str) -> tuple[str, Any, str] | None:
    """Find the first part of `value` that JSON cannot carry: its path, the part, and why. Without recursion."""
    branches = [iter([(field, value)])]
    trail: list[str] = []
    while branches:
        path, part = next(branches[-1], (None, None))
        if path is None:
            branches.pop()
            del trail[len(branches) :]
            continue
        fault = _fault(part, path)
        if fault:
            return fault
        parts = _parts(part, path)
        if parts is None:
            continue
        if len(branches) > MAX_DEPTH:
            return trail[1], "...", _TOO_DEEP
        del trail[len(branches) - 1 :]
        trail.append(path)
        branches.append(parts)
    return None


def _fault(part: Any, path: str) -> tuple[str, Any, str] | None:
    """Say what is wrong with `part` itself, whatever it holds."""
    if isinstance(part, str):
        return _text_fault(part, path)
    if part is None or isinstance(part, (bool, list, tuple)):
        return None
    if isinstance(part, int):
        try:
            int.__repr__(part)
        except ValueError:
            return path, part, "the integer has more digits than Python will convert"
        return None
    if isinstance(part, float):
        return (path, part, "JSON has no NaN and no infinity") if not isfinite(part) else None
    if isinstance(part, _OBJECT):
        return next(filter(None, (_key_fault(key, path) for key in part)), None)
    return path, part, f"a {type(part).__qualname__} is not a JSON value; convert it, or pass an id instead"


def _parts(part: Any, path: str) -> Iterator[tuple[str, Any]] | None:
    if isinstance(part, _ARRAY):
        return ((f"{path}[{place}]", item) for place, item in enumerate(part))
    if isinstance(part, _OBJECT):
        return ((f"{path}[{key!r}]", item) for key, item in part.items())
    return None


def _key_fault(key: object, path: str) -> tuple[str, Any, str] | None:
    if not isinstance(key, str):
        return path, key, "a key of a JSON object is a string"
    return _text_fault(key, f"key of {path}")


def _text_fault(text: str, path: str) -> tuple[str, Any, str] | None:
    if "\x00" in text:
        return path, text, "PostgreSQL stores no NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return path, text, "it holds half of a surrogate pair, which is not valid Unicode"
    return None
