"""Options of the plugin: each may stand on the command line and in the ini file, under the same name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest

BACKENDS = ("memory", "postgres", "all")
CHAOS = ("redeliver", "crash", "reorder")
STRICT = ("failed", "pending", "off")
SERVERS = ("auto", "pytest-postgresql", "testcontainers")

_YES = {"true", "yes", "on", "1"}
_NO = {"false", "no", "off", "0"}

Kind = Literal["flag", "text", "number", "choice", "choices"]


class Option(NamedTuple):
    """One option, before it is read.

    Attributes:
        name: in the ini file; on the command line it begins with two dashes, and has dashes inside.
        kind: what its value is.
        help: what it does, in one sentence.
        default: its value if it is given nowhere.
        choices: the values it may have, or may consist of.
        least: smallest number.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")


class Options(NamedTuple):
    """What the options of this session say. Where an option stands in both, the command line wins over the ini file."""

    pq_app: str | None
    pq_autouse: bool
    pq_aliases: bool
    pq_allow_real: bool
    pq_backend: str
    pq_require_postgres: bool
    pq_postgres: str
    pq_dsn: str | None
    pq_chaos: tuple[str, ...]
    pq_seed: int | None
    pq_crash_at: int | None
    pq_strict: str
    pq_payloads: str | None
    pq_payloads_update: bool
    pq_max_runs: int | None


OPTIONS = (
    Option("pq_app", "text", "path of the app under test, such as 'package.module:app'"),
    Option("pq_autouse", "flag", "run every test with pq_app on fresh jobs, whether it asks for them or not", True),  # noqa: FBT003 - a default
    Option("pq_aliases", "flag", "call pq_app and pq_run_jobs also app and run_jobs", True),  # noqa: FBT003 - a default
    Option("pq_allow_real", "flag", "let tests open connectors to databases that pq did not make for them", False),  # noqa: FBT003 - a default
    Option(
        "pq_backend",
        "choice",
        "where jobs of tests are kept: memory, postgres, or all for each test on both; a mark's backend wins",
        "memory",
        BACKENDS,
    ),
    Option("pq_require_postgres", "flag", "fail, not skip, tests for which there is no PostgreSQL", False),  # noqa: FBT003 - a default
    Option("pq_postgres", "choice", "who starts PostgreSQL", "auto", SERVERS),
    Option("pq_dsn", "text", "a PostgreSQL database for tests, in which pq may delete all its jobs"),
    Option(
        "pq_chaos",
        "choices",
        "disturb the workers of each test: redeliver, crash, reorder, or several of them with commas between; a mark's "
        "redeliver, crash or reorder wins",
        (),
        CHAOS,
    ),
    Option("pq_seed", "number", "what chaos is drawn from; another one each time if it is not given"),
    Option("pq_crash_at", "number", "where workers crash, as a failing test has printed it", least=1),
    Option(
        "pq_strict",
        "choice",
        "which jobs fail the test that left them: failed and not looked at; also pending ones; off: none. A mark wins",
        "failed",
        STRICT,
    ),
    Option("pq_payloads", "text", "directory of recorded payloads; each becomes a test that it still fits its task"),
    Option("pq_payloads_update", "flag", "record the payloads of the jobs that tests defer in pq_payloads", False),  # noqa: FBT003 - a default
    Option("pq_max_runs", "number", "jobs that one drain may run before they count as feeding themselves", least=1),
)


def add_options(parser: pytest.Parser) -> None:
    """Make all options known to pytest."""
    group = parser.getgroup("pq", "pq: background jobs under test")
    for option in OPTIONS:
        parser.addini(option.name, option.help, type=_ini_type(option.kind), default=None)
        if option.kind == "flag":
            off = option.flag.replace("--pq-", "--pq-no-")
            group.addoption(option.flag, dest=option.name, action="store_const", const="true", help=option.help)
            group.addoption(
                off, dest=option.name, action="store_const", const="false", help=f"the opposite of {option.flag}"
            )
        else:
            group.addoption(option.flag, dest=option.name, metavar=_metavar(option), help=option.help)


def read_options(config: pytest.Config) -> Options:
    """Return what the options say.

    Raises:
        pytest.UsageError: one has a value that it cannot have.
    """
    return Options(**{option.name: _read(config, option) for option in OPTIONS})


def _read(config: pytest.Config, option: Option) -> Any:
    given, source = config.getoption(option.name, None), option.flag
    if given is None:
        given, source = _from_ini(config, option), f"ini option {option.name}"
    text = _unquoted(str(given)) if given is not None else ""
    if not text:
        return option.default
    try:
        return _PARSERS[option.kind](option, text)
    except ValueError as reason:
        raise pytest.UsageError(f"pq: {source}={text!r}: {reason}.") from None


def _from_ini(config: pytest.Config, option: Option) -> Any:
    try:
        return config.getini(option.name)
    except TypeError:  # pytest 9.0 and 9.1 check a TOML file's types, and know but one for each option
        raise pytest.UsageError(
            f"pq: ini option {option.name} in pytest.toml or [tool.pytest] must be a text for this pytest: put quotes "
            "around its value."
        ) from None


def _flag(_: Option, text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError("allowed are true and false")
    return text.lower() in _YES


def _text(_: Option, text: str) -> str:
    return text


def _number(option: Option, text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) < option.least:
        raise ValueError(f"allowed are whole numbers from {option.least}")
    return int(text)


def _choice(option: Option, text: str) -> str:
    if text not in option.choices:
        raise ValueError(f"allowed are {_listed(option.choices)}")
    return text


def _choices(option: Option, text: str) -> tuple[str, ...]:
    words = [_unquoted(word) for word in text.replace(",", " ").split()]
    if unknown := [word for word in words if word not in option.choices]:
        raise ValueError(f"{unknown[0]!r} is not one of {_listed(option.choices)}")
    return tuple(word for word in option.choices if word in words)


_PARSERS: dict[Kind, Callable[[Option, str], Any]] = {
    "flag": _flag,
    "text": _text,
    "number": _number,
    "choice": _choice,
    "choices": _choices,
}


def _unquoted(text: str) -> str:
    """Strip the quotes that people put around values in ini files, where they would be part of the value."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":  # noqa: PLR2004 - a quote at each end
        return text[1:-1].strip()
    return text


def _listed(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} and {choices[-1]}"


def _metavar(option: Option) -> str:
    if option.choices:
        return ("|" if option.kind == "choice" else ",").join(option.choices)
    return "N" if option.kind == "number" else option.name.removeprefix("pq_").upper()


def _ini_type(kind: Kind) -> Any:
    """Let a TOML file say ``false`` and ``7`` without quotes, where pytest knows how."""
    if pytest.version_tuple < (9, 2) or kind not in ("flag", "number"):
        return "string"
    return bool | str if kind == "flag" else int | str


def worker_input(config: pytest.Config) -> dict[str, Any] | None:
    """Return what pytest-xdist's controller has told this worker; None if this process is no such worker."""
    return getattr(config, "workerinput", None)


def new_seed() -> int:
    """Draw a seed, short enough to be typed."""
    return int.from_bytes(os.urandom(3), "big")
