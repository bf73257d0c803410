"""A task's arguments: from a call to a dict by parameter name, which JSON can carry, and back to a call.

Parameters that are given are stored, defaults are not: a default is looked up when the job runs. What ``*args`` takes
is stored as a list under its name; what ``**kwargs`` takes stands beside the named parameters, as in a call by keyword.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

import attrs

from pq_core.errors import InvalidArguments, InvalidOption, shown

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_NEVER_BY_KEYWORD = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)


@attrs.frozen
class Binding:
    """Binds arguments to the parameters of one function.

    Attributes:
        name: of the task, for messages.
        signature: of the function, without the context that the worker passes.
    """

    name: str
    signature: Signature
    _by_keyword: bool = attrs.field(init=False)
    _extras: str | None = attrs.field(init=False)
    _names: frozenset[str] = attrs.field(init=False)
    _required: frozenset[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        parameters = self.signature.parameters.values()
        plain = [each for each in parameters if each.kind not in _VARIADIC]
        object.__setattr__(self, "_names", frozenset(each.name for each in plain))
        object.__setattr__(self, "_required", frozenset(each.name for each in plain if each.default is Parameter.empty))
        object.__setattr__(self, "_by_keyword", not any(each.kind in _NEVER_BY_KEYWORD for each in parameters))
        extras = next((each.name for each in parameters if each.kind is Parameter.VAR_KEYWORD), None)
        object.__setattr__(self, "_extras", extras)

    @property
    def by_keyword(self) -> bool:
        """Whether stored arguments are those of a call by keyword, as they are."""
        return self._by_keyword

    @property
    def stored_names(self) -> list[str] | None:
        """Under which names arguments are stored; None: any, since the function takes ``**kwargs``."""
        return None if self._extras else list(self.signature.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by parameter name.

        Raises:
            InvalidArguments: the function cannot be called like that; the message shows its signature.
        """
        if not args and self._by_keyword and self._required <= kwargs.keys() <= self._names:
            return dict(kwargs)  # as bind() would say, at a tenth of the cost
        try:
            given = self.signature.bind(*args, **kwargs).arguments
        except TypeError as reason:
            raise self._misfit(str(reason), {"args": args, "kwargs": kwargs}) from None
        extras = given.pop(self._extras, None) if self._extras else None
        if extras:
            clash = sorted(extras.keys() & self.signature.parameters.keys() - {self._extras})
            if clash:
                why = f"the extra argument {clash[0]!r} has the name of a parameter that cannot be given by keyword"
                raise self._misfit(why, extras)
            given.update(extras)
        return given

    def unbind(self, stored: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments for a call that means what `stored` says.

        Raises:
            InvalidArguments: a parameter that has no default is missing.
        """
        if self._by_keyword:
            return (), dict(stored)
        rest = dict(stored)
        spread = next((p.name for p in self.signature.parameters.values() if p.kind is Parameter.VAR_POSITIONAL), None)
        variadic = rest.pop(spread, ()) if spread else ()
        positional = [
            self._taken(parameter, rest)
            for parameter in self.signature.parameters.values()
            if parameter.kind is Parameter.POSITIONAL_ONLY or (variadic and parameter.kind in _POSITIONAL)
        ]
        return (*positional, *variadic), rest

    def _taken(self, parameter: Parameter, rest: dict[str, Any]) -> Any:
        if parameter.name in rest:
            return rest.pop(parameter.name)
        if parameter.default is Parameter.empty:
            raise self._misfit(f"missing a required argument: {parameter.name!r}", rest)
        return parameter.default

    def _misfit(self, why: str, value: Any) -> InvalidArguments:
        message = f"{why}; the task's signature is {self.name}{self.signature}"
        return InvalidArguments(message, field="args", value=value)


def binding_of(name: str, func: Callable[..., Any], *, pass_context: bool) -> Binding:
    """Return the binding of a task's function.

    Raises:
        InvalidOption: the function shows no signature, or has no place for the context.
    """
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError) as reason:
        raise InvalidOption(
            f"task {name!r}: {shown(func)} shows no signature; wrap it in a function of yours"
        ) from reason
    if not pass_context:
        return Binding(name, signature)
    parameters = list(signature.parameters.values())
    first = parameters[0].kind if parameters else None
    if first is Parameter.VAR_POSITIONAL:
        return Binding(name, signature)
    if first not in _POSITIONAL:
        raise InvalidOption(
            f"task {name!r}: with pass_context=True the function's first parameter takes the context, "
            f"but its signature is {signature}"
        )
    return Binding(name, signature.replace(parameters=parameters[1:]))
