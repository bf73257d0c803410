"""The options by which jobs are searched for: one set, which several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from pq_cli.choices import complete_state
from pq_cli.job_options import json_arguments
from pq_cli.moments import moment

_OPTIONS: dict[str, Any] = {
    "queue": Annotated[str | None, typer.Option(help="Only of this queue.")],
    "task": Annotated[str | None, typer.Option("--task", help="Only of this task.")],
    "state": Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only in this state; may be repeated.", autocompletion=complete_state
        ),
    ],
    "lock": Annotated[str | None, typer.Option(help="Only with this lock.")],
    "unique_key": Annotated[str | None, typer.Option("--unique-key", help="Only with this unique key.")],
    "args": Annotated[
        str | None, typer.Option("--args", metavar="JSON", help="Only with these among their arguments: an object.")
    ],
    "created_after": Annotated[
        str | None, typer.Option("--created-after", metavar="TIME", help="Only created then or later.")
    ],
    "created_before": Annotated[
        str | None, typer.Option("--created-before", metavar="TIME", help="Only created before then.")
    ],
    "scheduled_after": Annotated[
        str | None, typer.Option("--scheduled-after", metavar="TIME", help="Only due then or later.")
    ],
    "scheduled_before": Annotated[
        str | None, typer.Option("--scheduled-before", metavar="TIME", help="Only due before then.")
    ],
    "after": Annotated[int, typer.Option(min=0, help="Only jobs with a higher id.")],
}
_EMPTY = {"after": 0}


def searching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets what was given as `search`, by the names of `pq_cli.search.Search`."""

    @wraps(command)
    def run(**given: Any) -> None:
        search = {name: given.pop(name) for name in _OPTIONS}
        command(search=_read(search), **given)

    parameters = inspect.signature(command, eval_str=True).parameters.values()
    # After an argument, as all options; before those that every command has.
    own = [each for each in parameters if each.name != "search"]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_EMPTY.get(name), annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    places = [each for each in own if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    named = [each for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY]
    signature = inspect.Signature([*places, *shared, *named])
    run.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    run.__signature__ = signature  # type: ignore[attr-defined] # which is where inspect looks
    del run.__wrapped__  # so that nobody finds the options of the command alone
    return run


def _read(given: dict[str, Any]) -> dict[str, Any]:
    for name in ("created_after", "created_before", "scheduled_after", "scheduled_before"):
        if given[name] is not None:
            given[name] = moment(given[name], "--" + name.replace("_", "-"))
    if given["args"] is not None:
        given["args"] = json_arguments(given["args"])
    return given
