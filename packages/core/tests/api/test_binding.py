"""Arguments go into a job by name, and come out as the call that was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pq_core.binding import Binding, binding_of
from pq_core.errors import InvalidArguments, InvalidOption


def plain(a: Any, b: Any = 2, *, c: Any = 3) -> Any:
    return (a, b, c)


def positional_only(a: Any, b: Any = 2, /, c: Any = 3, *, d: Any = 4) -> Any:
    return (a, b, c, d)


def spread(a: Any, b: Any = 2, *rest: Any, c: Any = 3) -> Any:
    return (a, b, rest, c)


def open_ended(a: Any, /, b: Any = 2, *rest: Any, **extra: Any) -> Any:
    return (a, b, rest, extra)


def named_like_ours(self: Any, args: Any, kwargs: Any, queue: Any = 1, connection: Any = 2) -> Any:
    return (self, args, kwargs, queue, connection)


def binding(func: Callable[..., Any]) -> Binding:
    return binding_of(func.__name__, func, pass_context=False)


@pytest.mark.parametrize(
    "func,args,kwargs,stored",
    [
        (plain, (1,), {}, {"a": 1}),
        (plain, (1, 5), {"c": 6}, {"a": 1, "b": 5, "c": 6}),
        (positional_only, (1,), {"c": 9}, {"a": 1, "c": 9}),
        (spread, (1, 2, 3, 4), {"c": 5}, {"a": 1, "b": 2, "rest": (3, 4), "c": 5}),
        (open_ended, (1, 2, 3), {"x": 4, "y": 5}, {"a": 1, "b": 2, "rest": (3,), "x": 4, "y": 5}),
        (named_like_ours, (1, 2), {"kwargs": 3, "queue": 4}, {"self": 1, "args": 2, "kwargs": 3, "queue": 4}),
    ],
)
def test_arguments_are_stored_by_parameter_and_defaults_are_not(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], stored: dict[str, Any]
) -> None:
    assert binding(func).bind(args, kwargs) == stored


@given(
    func=st.sampled_from([plain, positional_only, spread, open_ended, named_like_ours]),
    args=st.lists(st.integers(), max_size=6),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "x", "rest", "extra", "queue"]), st.integers()),
)
def test_the_stored_call_gives_what_the_direct_call_gives(
    func: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> None:
    bound = binding(func)
    try:
        stored = bound.bind(args, kwargs)
    except InvalidArguments as refusal:
        if "has the name of a parameter" not in str(refusal):
            with pytest.raises(TypeError):
                func(*args, **kwargs)
        return
    positional, keywords = bound.unbind(stored)
    assert func(*positional, **keywords) == func(*args, **kwargs)


def test_arguments_that_do_not_fit_are_refused_with_the_signature() -> None:
    with pytest.raises(InvalidArguments, match=r"missing a required argument: 'a'.*plain\(a: .*, b: .* = 2, \*, c:"):
        binding(plain).bind((), {"b": 1})


def test_an_extra_argument_cannot_take_the_name_of_a_positional_one() -> None:
    with pytest.raises(InvalidArguments, match="'a' has the name of a parameter"):
        binding(open_ended).bind((1,), {"a": 2})


def test_a_job_of_hand_that_lacks_an_argument_before_the_spread_is_refused_and_a_default_is_filled_in() -> None:
    assert spread(*binding(spread).unbind({"a": 1, "rest": [5]})[0]) == (1, 2, (5,), 3)
    with pytest.raises(InvalidArguments, match="missing a required argument: 'a'"):
        binding(spread).unbind({"rest": [5]})


def test_the_context_is_no_argument_of_the_job() -> None:
    def with_context(context: Any, a: int) -> None: ...

    bound = binding_of("t", with_context, pass_context=True)
    assert list(bound.signature.parameters) == ["a"]
    assert bound.bind((3,), {}) == {"a": 3}


def test_a_function_without_place_for_the_context_is_refused() -> None:
    with pytest.raises(InvalidOption, match="first parameter takes the context"):
        binding_of("t", lambda *, a: a, pass_context=True)
    with pytest.raises(InvalidOption, match="first parameter takes the context"):
        binding_of("t", lambda: None, pass_context=True)


def test_the_context_may_go_into_a_spread() -> None:
    bound = binding_of("t", lambda *things: things, pass_context=True)
    assert bound.unbind(bound.bind((1, 2), {})) == ((1, 2), {})


def test_a_signature_that_cannot_be_read_is_refused() -> None:
    class Opaque:
        __signature__ = "nonsense"

        def __call__(self) -> None: ...

    with pytest.raises((TypeError, ValueError)):
        inspect.signature(Opaque())
    with pytest.raises(InvalidOption, match="shows no signature"):
        binding_of("t", Opaque(), pass_context=False)
