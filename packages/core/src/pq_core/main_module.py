"""The program that runs: the module that Python calls ``__main__``, under the name by which others would import it.

Imported once more under that name, its code would run a second time and make a second App: jobs would be deferred by
one, tasks registered in the other. This is refused wherever it can be seen.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from types import FrameType
from typing import Any

from pq_core.errors import InvalidOption

_WAY_OUT = "put the App into a module of its own, which the program imports"


def importable_name(module: str) -> str:
    """Return the name by which `module` can be imported; only that of ``__main__`` is another one."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return inspect.getmodulename(file) or module if file else module


def refuse_to_import_main(module: str) -> None:
    """Refuse the name of the program that runs.

    Raises:
        InvalidOption: `module` is the file that runs as ``__main__``.
    """
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # noqa: BLE001 - finding it imports its package; the import that follows says it better
        return
    if spec is not None and _is_main(spec.origin):
        raise InvalidOption(
            f"module {module!r} is the program that runs, as __main__: imported again, it would make a second App; "
            f"{_WAY_OUT}"
        )


def refuse_second_run() -> None:
    """Refuse to go on if the file of the running program is being imported, somewhere up the stack, as a module.

    Raises:
        InvalidOption: it is; the message names the module.
    """
    frame = inspect.currentframe()
    while frame is not None:
        name = _module_run_by(frame)
        if name not in {None, "__main__"} and _is_main(frame.f_globals.get("__file__")):
            raise InvalidOption(
                f"module {name!r} is the program that already runs as __main__, and this import of it makes a second "
                f"App; {_WAY_OUT}"
            )
        frame = frame.f_back


def _module_run_by(frame: FrameType) -> Any:
    return frame.f_globals.get("__name__") if frame.f_code.co_name == "<module>" else None


def _is_main(file: str | None) -> bool:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return bool(file and main) and os.path.realpath(str(file)) == os.path.realpath(str(main))
