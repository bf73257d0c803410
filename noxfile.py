"""What CI does, to be done anywhere: each session is mirrored by a job in .github/workflows.

A session uses the Python that runs nox; CI starts nox with each Python it supports.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
PACKAGES = ROOT / "packages"
PUBLISHED = ("core", "testing", "cli")
SOURCES = [str(PACKAGES / name / "src") for name in PUBLISHED]
WORKFLOWS = sorted(map(str, (ROOT / ".github" / "workflows").glob("*.yml")))
BENCHMARKS = str(PACKAGES / "benchmarks")
CONFORMANCE = "packages/testing/tests/conformance"
ADAPTERS = "packages/testing/tests/adapters"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, imports, workflows and changelog fragments."""
    install_group(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(SOURCES)})
    session.run("zizmor", "--offline", "--quiet", ".github")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    session.run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    session.run("check-jsonschema", "--builtin-schema", "vendor.readthedocs", ".readthedocs.yaml")
    if has_main(session):
        session.run("towncrier", "check", "--compare-with", "origin/main")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the packages, and the typed usage in tests/typing, with mypy and pyright."""
    install_group(session, "types")
    install_group(session, "tests")  # Whose types the packages and the usage may name.
    install_pq(session, "-e", BENCHMARKS, testing="[embedded,hypothesis]")
    session.run("mypy", *SOURCES)
    for usage in sorted(PACKAGES.glob("*/tests/typing")):
        session.run("mypy", str(usage))
    check_with_pyright(session)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, in as many processes as there are CPUs, up to four. Arguments, pytest's, mean: in this process."""
    alone = session.posargs or os.environ.get("PQ_COVERAGE")  # which would not see what the processes run
    run_pytest(session, *(session.posargs if alone else ("-n", "logical", "--maxprocesses", "4")))


@nox.session
def conformance(session: nox.Session) -> None:
    """Run the conformance suite and the model alone, in memory and on PostgreSQL. Arguments are pytest's."""
    run_pytest(session, CONFORMANCE, *session.posargs)


@nox.session
def model(session: nox.Session) -> None:
    """Run the model alone, PostgreSQL beside memory, for PQ_MODEL_STEPS steps. Arguments are pytest's."""
    run_pytest(session, f"{CONFORMANCE}/test_model.py", "-s", "-o", "faulthandler_timeout=0", *session.posargs)


@nox.session
def testcontainers(session: nox.Session) -> None:
    """Run the conformance suite on a PostgreSQL that testcontainers starts. Needs Docker."""
    run_conformance_on(session, "testcontainers")


@nox.session
def pytest_postgresql(session: nox.Session) -> None:
    """Run the conformance suite on a PostgreSQL that pytest-postgresql starts. Needs one of the system, and no root."""
    run_conformance_on(session, "pytest-postgresql")


@nox.session
def node(session: nox.Session) -> None:
    """Run what the documentation says of deferring from Node.js. Needs npm."""
    modules = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--no-save", "--prefix", str(modules), "pg", external=True)
    session.env["PQ_NODE_MODULES"] = str(modules / "node_modules")
    run_pytest(session, "packages/core/tests/postgres/test_plain_sql.py")


@nox.session
def coverage(session: nox.Session) -> None:
    """Report what the tests measured with PQ_COVERAGE=1 have missed."""
    install_group(session, "tests")
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors. An argument says where to."""
    target = session.posargs[0] if session.posargs else "docs/_build/html"
    install_group(session, "docs")
    install_pq(session, testing="[hypothesis]")
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--fresh-env", "--quiet", "docs", target)


@nox.session
def build(session: nox.Session) -> None:
    """Build what is published into dist, a source distribution and from it a wheel of each, and check them."""
    install_group(session, "build")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for name in PUBLISHED:
        session.run("python", "-m", "build", "--outdir", "dist", str(PACKAGES / name))
    session.run("twine", "check", "--strict", *map(str, sorted((ROOT / "dist").iterdir())))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory. Arguments are the benchmarks'."""
    install_pq(session, "-e", BENCHMARKS, testing="[embedded]")
    session.run("python", "-m", "pq_benchmarks", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """See a real queue on a real PostgreSQL do real work. Arguments are those of `pq demo`."""
    install_pq(session, testing="[embedded]")
    session.run("pq", "demo", *session.posargs)


def check_with_pyright(session: nox.Session) -> None:
    """Check the types with pyright, and that it has found the packages: it does not mind when it finds no files."""
    sources = [path for source in SOURCES for path in Path(source).rglob("*.py")]
    statistics = session.run("pyright", "--stats", silent=True)
    checked = re.search(r"Total files checked: (\d+)", str(statistics))
    assert checked, "pyright does not say how many files it checked"
    assert int(checked[1]) >= len(sources), f"pyright checked {checked[1]} files, though there are {len(sources)}"


def run_conformance_on(session: nox.Session, extra: str) -> None:
    """Run the conformance suite on the server of another package, which a plugin in packages/testing/tests starts."""
    install_group(session, "tests")
    install_pq(session, testing=f"[{extra},hypothesis]")
    plugin = f"{extra.replace('-', '_')}_server"
    session.run("pytest", "-p", plugin, CONFORMANCE, *session.posargs, env={"PYTHONPATH": ADAPTERS})


def run_pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest, measuring coverage when the variable PQ_COVERAGE is set."""
    install_group(session, "tests")
    install_pq(session, "-e", BENCHMARKS, testing="[embedded,hypothesis]")
    if os.environ.get("PQ_COVERAGE"):
        session.run("coverage", "run", "-m", "pytest", *arguments)
        return
    session.run("pytest", *arguments)


def install_group(session: nox.Session, group: str) -> None:
    """Install one of the root's dependency groups."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group))


def install_pq(session: nox.Session, *more: str, testing: str = "") -> None:
    """Install the three packages: editable, or the wheels in the directory that the variable PQ_WHEELS names.

    All in one step, because each pins its siblings to a version that no registry has yet.
    """
    wheels = os.environ.get("PQ_WHEELS")
    extras = {"testing": testing}
    requirements = []
    for name in PUBLISHED:
        path = built_wheel(wheels, name) if wheels else PACKAGES / name
        requirements += [*([] if wheels else ["-e"]), f"{path}{extras.get(name, '')}"]
    session.install(*requirements, *more)
    if wheels:  # Of one version, yet perhaps built anew since this environment was made.
        session.install("--force-reinstall", "--no-deps", *requirements)


def built_wheel(directory: str, name: str) -> Path:
    """Find the one wheel of a package."""
    found = list((ROOT / directory).glob(f"pq_{name}-*.whl"))
    assert len(found) == 1, f"{directory} holds {len(found)} wheels of pq-{name}; run `nox -s build`"
    return found[0]


def has_main(session: nox.Session) -> bool:
    """Whether there is a main branch that changes can be compared with."""
    if not shutil.which("git"):
        return False
    found = session.run(
        "git", "rev-parse", "--verify", "--quiet", "origin/main", external=True, silent=True, success_codes=[0, 1, 128]
    )
    return bool(isinstance(found, str) and found.strip() and "fatal" not in found)
