"""From the name of an object, ``package.module:name`` or ``package.module.name``, to the object."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from pq_core.errors import AppNotFound, InvalidOption, shown
from pq_core.main_module import refuse_to_import_main


def load(path: str) -> Any:
    """Import the module that `path` names and return the object in it.

    Raises:
        AppNotFound: the path is malformed, the module cannot be imported, or has no such object; an error that the
            module raised is the cause.
        InvalidOption: the module is the program that runs.
    """
    if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
        raise AppNotFound(f"{shown(path)} is not a text; an app is named like 'package.module:app'")
    module_name, name = _split(path)
    refuse_to_import_main(module_name)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as reason:
        raise AppNotFound(
            f"{path!r}: module {module_name!r} cannot be imported: {type(reason).__name__}: {reason}"
        ) from reason
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AppNotFound(f"{path!r}: module {module_name!r} has no {name!r}") from None
    return found


def import_modules(paths: Iterable[str]) -> None:
    """Import modules, so that the tasks in them are registered. An error that one of them raises goes through.

    Raises:
        InvalidOption: there is no module of that name, or it is the program that runs.
    """
    for path in paths:
        refuse_to_import_main(path)
        try:
            importlib.import_module(path)
        except ModuleNotFoundError as reason:
            if reason.name and (path == reason.name or path.startswith(f"{reason.name}.")):
                raise InvalidOption(f"import_paths: there is no module {path!r}: {reason}") from reason
            raise


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(":") if ":" in path else path.rpartition(".")
    names = [*module.split("."), *name.split(".")]
    if not all(part.isidentifier() for part in names):
        raise AppNotFound(f"{path!r} does not name an app; it looks like 'package.module:app' or 'package.module.app'")
    return module, name
