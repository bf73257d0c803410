"""Fresh projects, with an interpreter in which pq is installed from wheels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

PACKAGES = Path(__file__).parents[3]
OTHERS = ("asyncio", "cov", "django", "flask", "pytest_postgresql", "randomly", "xdist")

SHOP = """
import anyio
import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector("host=production.invalid"))
mails = []
charges = []

@app.task(name="mail", retry=3)
def mail(to: str) -> str:
    mails.append(to)
    return to

@app.task(name="remind")
async def remind(to: str) -> None:
    await anyio.sleep(0)
    mail.configure(schedule_in={"hours": 1}).defer(to=to)

@app.task(name="charge")
def charge(order: int) -> None:
    charges.append(order)

class CardDeclined(Exception): pass

@app.task(name="pay", retry=pq.RetryStrategy(max_attempts=3, wait=60))
def pay() -> None:
    raise CardDeclined("no money")

def sign_up(to: str) -> None:
    mail.defer(to=to)
    remind.defer(to=to)
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of pq: those that the variable PQ_WHEELS points to, else new ones."""
    if os.environ.get("PQ_WHEELS"):
        directory = PACKAGES.parent / os.environ["PQ_WHEELS"]
        return [next(directory.glob(f"pq_{name}-*.whl")) for name in ("core", "testing")]
    pytest.importorskip("hatchling", reason="nothing here builds wheels, and PQ_WHEELS names none")
    made = tmp_path_factory.mktemp("wheels")
    for name in ("core", "testing"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)]
        subprocess.run(command, cwd=PACKAGES / name, check=True, capture_output=True)
    return sorted(made.glob("*.whl"))


@pytest.fixture(scope="session")
def python(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with pq from wheels, and of this environment all but pq: what is found first, wins."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as files:
            files.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", {"base": str(place)})) / "python"


@attrs.frozen
class Project:
    """A directory with an app in it, an ini file of one line of pq's, and the tests that are written there."""

    path: Path
    python: Path

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str, plugins: tuple[str, ...] = ()) -> Result:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTEST_", "PYTHON"))}
        blocked = [word for name in OTHERS if name not in plugins for word in ("-p", f"no:{name}")]
        done = subprocess.run(
            [self.python, "-m", "pytest", "-W", "error", "--strict-markers", "--strict-config", *blocked, *arguments],
            cwd=self.path,
            env=kept,
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
        return Result(done.stdout + done.stderr)


@attrs.frozen
class Result:
    """What a run of pytest has printed."""

    text: str

    @property
    def outcomes(self) -> dict[str, int]:
        last = self.text.strip().splitlines()[-1]
        return {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}


@pytest.fixture
def project(python: Path, tmp_path: Path) -> Project:
    project = Project(tmp_path, python)
    project.write("shop.py", SHOP)
    project.write("pytest.ini", "[pytest]\npq_app = shop:app\n")
    return project


@pytest.fixture
def run_tests(project: Project) -> Callable[..., Result]:
    """Run the text of a test module in the project."""

    def run(text: str, *arguments: str, plugins: tuple[str, ...] = ()) -> Result:
        project.write("test_shop.py", text)
        return project.run(*arguments, plugins=plugins)

    return run
