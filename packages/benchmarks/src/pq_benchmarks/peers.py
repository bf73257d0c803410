"""Other queues, each installed once, by this benchmark, into an environment of its own below the user's cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from pq_benchmarks.contender import Contender, python_contender
from pq_benchmarks.server import cache_home, has_program

_REQUIREMENTS = ("procrastinate>=3.2", "pgqueuer>=1", "asyncpg", "uvloop", "psycopg[binary]")
_NODE_PACKAGES = ("graphile-worker@^0.17.3", "pg@^8")
_NODE_SCRIPT = Path(__file__).with_name("contestants") / "graphile_worker.cjs"


def find_peers() -> list[Contender]:
    """Return the peers that can take part here; say why the others cannot."""
    peers: list[Contender] = []
    for install in (_python_peers, _node_peers):
        try:
            peers += install()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"Some peers do not take part: {error}\n{getattr(error, 'stderr', '') or ''}", file=sys.stderr)
    return peers


def _python_peers() -> list[Contender]:
    environment = _environment(f"python-{sys.version_info.major}.{sys.version_info.minor}", _REQUIREMENTS)
    python = environment / "bin" / "python"
    if not _ready(environment):
        _run(sys.executable, "-m", "venv", "--clear", str(environment))
        _run(str(python), "-m", "pip", "install", "--quiet", *_REQUIREMENTS)
        _mark_ready(environment)
    return [
        python_contender(
            "pgqueuer_peer",
            name="pgqueuer",
            module="pgqueuer",
            contract="durable, history kept in a log",
            ended="select count(*) from pgqueuer_log where status = 'successful'",
            interpreter=python,
        ),
        python_contender(
            "procrastinate_peer",
            name="procrastinate",
            module="procrastinate",
            contract="durable, history kept",
            ended="select count(*) from procrastinate_jobs where status = 'succeeded'",
            drain_share=0.075,
            sync=True,
            interpreter=python,
        ),
    ]


def _node_peers() -> list[Contender]:
    if not (has_program("node") and has_program("npm")):
        print("graphile-worker does not take part: node and npm are not here", file=sys.stderr)
        return []
    environment = _environment("node", _NODE_PACKAGES)
    if not _ready(environment):
        environment.mkdir(parents=True, exist_ok=True)
        _run(
            *("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(environment)),
            *_NODE_PACKAGES,
        )
        _mark_ready(environment)
    return [
        Contender(
            name="graphile-worker",
            command=("node", str(_NODE_SCRIPT)),
            environment={"NODE_PATH": str(environment / "node_modules")},
            contract="durable, succeeded jobs deleted",
        )
    ]


def _environment(kind: str, requirements: tuple[str, ...]) -> Path:
    """Return the directory for just these requirements: with others it is another one."""
    return cache_home() / f"{kind}-{hashlib.sha256(repr(requirements).encode()).hexdigest()[:10]}"


def _ready(environment: Path) -> bool:
    return (environment / "ready").exists()


def _mark_ready(environment: Path) -> None:
    (environment / "ready").touch()


def _run(*command: str) -> None:
    print(f"Installing peers: {' '.join(command)}", file=sys.stderr)
    subprocess.run(command, check=True, capture_output=True, text=True)
