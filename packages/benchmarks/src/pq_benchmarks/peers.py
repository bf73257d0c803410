"""Other queues, each installed once, by this benchmark, into an environment of its own below the user's cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pq_benchmarks.contender import Contender, python_contender
from pq_benchmarks.interpreters import Version, find_interpreter
from pq_benchmarks.server import cache_home

_NODE_PACKAGES = ("graphile-worker@^0.17.3", "pg@^8")
_NODE_SCRIPT = Path(__file__).with_name("contestants") / "graphile_worker.cjs"


class CannotTakePart(Exception):
    """A peer lacks something on this machine; the message says what."""


@attrs.frozen(kw_only=True)
class PythonPeer:
    """A peer that is installed by pip.

    Attributes:
        requirements: what to install.
        python: the least version that it runs on.
        facts: see :class:`pq_benchmarks.contender.Contender`, and `python_contender`.
    """

    script: str
    requirements: tuple[str, ...]
    python: Version = (3, 11)
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what the report calls it."""
        return str(self.facts["name"])

    def install(self) -> Contender:
        """Install it, if it is not there.

        Raises:
            CannotTakePart: no interpreter here is new enough.
        """
        found = find_interpreter(self.python)
        if found is None:
            raise CannotTakePart(f"it needs Python {'.'.join(map(str, self.python))}")
        interpreter, version = found
        kind = f"{self.name}-python-{'.'.join(map(str, version))}"
        environment = _environment(kind, self.requirements)
        python = environment / "bin" / "python"
        if not _ready(environment):
            _run(str(interpreter), "-m", "venv", "--clear", str(environment))
            _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements)
            _mark_ready(environment)
        facts = dict(self.facts)
        told = [facts["contract"], f"version {_version(python, facts['module'])}"]
        if version != sys.version_info[:2]:
            told.append(f"on Python {'.'.join(map(str, version))}")
        facts["contract"] = "; ".join(told)
        return python_contender(self.script, interpreter=python, **facts)


PYTHON_PEERS = (
    PythonPeer(
        script="pgqueuer_peer",
        requirements=("pgqueuer>=1", "asyncpg", "uvloop"),
        facts={
            "name": "pgqueuer",
            "module": "pgqueuer",
            "contract": "durable, history kept in a log; asyncpg, uvloop, batches of 500",
            "table": "pgqueuer",
            "ended": "select count(*) from pgqueuer_log where status = 'successful'",
            "sync_jobs": True,
        },
    ),
    PythonPeer(
        script="oban_peer",
        requirements=("oban", "uvloop", "psycopg[binary,pool]"),
        python=(3, 12),
        facts={
            "name": "oban-py",
            "module": "oban",
            "contract": "durable, history kept for a day; uvloop, a pool of 10",
            "table": "oban_jobs",
            "ended": "select count(*) from oban_jobs where state = 'completed'",
            "share": 0.25,
        },
    ),
    PythonPeer(
        script="procrastinate_peer",
        requirements=("procrastinate>=3.2", "psycopg[binary,pool]"),
        facts={
            "name": "procrastinate",
            "module": "procrastinate",
            "contract": "durable, history kept",
            "table": "procrastinate_jobs",
            "ended": "select count(*) from procrastinate_jobs where status = 'succeeded'",
            "share": 0.075,
            "sync": True,
        },
    ),
    PythonPeer(
        script="chancy_peer",
        requirements=("chancy", "psycopg[binary,pool]"),
        facts={
            "name": "chancy",
            "module": "chancy",
            "contract": "durable, history kept; eager polling, without its log",
            "table": "chancy_jobs",
            "ended": "select count(*) from chancy_jobs where state = 'succeeded'",
            "share": 0.15,
        },
    ),
    PythonPeer(
        script="dramatiq_peer",
        requirements=("dramatiq[redis]",),
        facts={
            "name": "dramatiq on Redis",
            "module": "dramatiq",
            "contract": "on Redis, not durable, no history; 50 threads in one process",
            "share": 0.5,
            "sync_jobs": True,
            "async_jobs": False,
            "store": "redis",
        },
    ),
)


def find_peers() -> list[Contender]:
    """Return the peers that can take part here; say why the others cannot."""
    peers: list[Contender] = []
    installs = {"graphile-worker": _install_graphile_worker, **{peer.name: peer.install for peer in PYTHON_PEERS}}
    for name, install in installs.items():
        try:
            peers.append(install())
        except (CannotTakePart, OSError, subprocess.CalledProcessError) as error:
            print(f"{name} does not take part: {error} {getattr(error, 'stderr', '') or ''}", file=sys.stderr)
    return peers


def _install_graphile_worker() -> Contender:
    if not (shutil.which("node") and shutil.which("npm")):
        raise CannotTakePart("node and npm are not here")
    environment = _environment("node", _NODE_PACKAGES)
    if not _ready(environment):
        environment.mkdir(parents=True, exist_ok=True)
        _run(
            *("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(environment)),
            *_NODE_PACKAGES,
        )
        _mark_ready(environment)
    package = json.loads((environment / "node_modules" / "graphile-worker" / "package.json").read_text())
    return Contender(
        name="graphile-worker",
        command=("node", str(_NODE_SCRIPT)),
        environment={"NODE_PATH": str(environment / "node_modules")},
        contract="durable, succeeded jobs deleted; local queue of 500, completions in batches;"
        f" version {package['version']}",
        table="graphile_worker._private_jobs",
        left="select count(*) from graphile_worker._private_jobs",
    )


def _version(python: Path, distribution: str) -> str:
    program = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run([str(python), "-c", program, distribution], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _environment(kind: str, requirements: tuple[str, ...]) -> Path:
    """Return the directory for just these requirements: with others it is another one."""
    return cache_home() / f"{kind}-{hashlib.sha256(repr(requirements).encode()).hexdigest()[:10]}"


def _ready(environment: Path) -> bool:
    return (environment / "ready").exists()


def _mark_ready(environment: Path) -> None:
    (environment / "ready").touch()


def _run(*command: str) -> None:
    print(f"Installing a peer: {' '.join(command)}", file=sys.stderr)
    subprocess.run(command, check=True, capture_output=True, text=True)
