"""Each plugin for async tests runs in a process of its own: several of them do not bear each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SYNC = """
import shop

def test_sync(app, run_jobs, pq_clock):
    shop.mail.configure(schedule_in={"hours": 1}).defer(to="a")
    shop.wait.defer()
    assert run_jobs().names == ["wait"]
    pq_clock.advance(hours=1)
    assert run_jobs().names == ["mail"]
"""

ASYNC = """
import pytest
import shop

@pytest.fixture
def deferred():
    shop.mail.defer(to="from a fixture")

MARK
async def test_async(app, run_jobs, pq_clock, deferred):
    await shop.wait.defer_async()
    assert (await run_jobs.run_async()).names == ["mail", "wait"]
    shop.mail.defer(to="b")
    assert run_jobs().names == ["mail"]

MARK
async def test_an_error_is_the_tasks_own(run_jobs):
    shop.broken.defer()
    with pytest.raises(RuntimeError, match="it broke"):
        await run_jobs.run_async()
"""

FIXTURE = """
@FIXTURE
async def opened():
    async with shop.app:
        yield shop.app

MARK
async def test_that_the_app_may_be_open(opened, run_jobs):
    await shop.wait.defer_async()
    assert (await run_jobs.run_async()).names == ["wait"]
"""

WAIT = """
@app.task(name="wait")
async def wait() -> None:
    import anyio
    await anyio.sleep(0)
"""


@pytest.fixture
def both(shop: pytest.Pytester) -> pytest.Pytester:
    shop.path.joinpath("shop.py").write_text(shop.path.joinpath("shop.py").read_text() + WAIT, encoding="utf-8")
    shop.makepyfile(test_sync=SYNC)
    return shop


def write(project: pytest.Pytester, mark: str, fixture: str) -> None:
    text = (ASYNC + FIXTURE).replace("MARK", mark).replace("FIXTURE", fixture)
    project.makepyfile(test_async=f"import pytest\n{text}")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_runs_tests_with_jobs(both: pytest.Pytester, run_apart: Run, backend: str) -> None:
    write(both, "@pytest.mark.anyio", "pytest.fixture")
    both.makeconftest(f"import pytest\n@pytest.fixture\ndef anyio_backend(): return '{backend}'\n")
    run_apart("-p", "anyio.pytest_plugin").assert_outcomes(passed=4)


def test_pytest_asyncio_runs_tests_with_jobs_in_strict_mode(both: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_asyncio")
    write(both, "@pytest.mark.asyncio", "__import__('pytest_asyncio').fixture")
    options = ("--asyncio-mode=strict", "-o", "asyncio_default_fixture_loop_scope=function")
    run_apart("-p", "pytest_asyncio.plugin", *options).assert_outcomes(passed=4)


def test_pytest_asyncio_runs_tests_with_jobs_in_auto_mode(both: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_asyncio")
    write(both, "", "pytest.fixture")
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    run_apart("-p", "pytest_asyncio.plugin", *options).assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "options",
    [
        "-p anyio.pytest_plugin",
        "-p pytest_asyncio.plugin --asyncio-mode=strict -o asyncio_default_fixture_loop_scope=function",
        "-p pytest_asyncio.plugin --asyncio-mode=auto -o asyncio_default_fixture_loop_scope=function",
    ],
)
def test_an_async_factory_is_refused_alike_by_tests_of_every_kind(
    pytester: pytest.Pytester, run_apart: Run, options: str
) -> None:
    pytest.importorskip(options.split()[1])
    mark = "anyio" if "anyio" in options else "asyncio"
    pytester.makeconftest("import pytest\n@pytest.fixture\nasync def pq_app_factory(): return 1\n")
    pytester.makepyfile(
        f"import pytest\ndef test_sync(app): pass\n@pytest.mark.{mark}\nasync def test_async(app): pass"
    )
    result = run_apart(*options.split(), "-k", "sync or asyncio")
    outcomes = result.parseoutcomes()
    said = "fixture pq_app_factory "  # Old versions of pytest-asyncio await it first, and what it gave is refused.
    assert outcomes["errors"] == result.stdout.str().count(said) == (3 if mark == "anyio" else 2)


def test_a_session_wide_async_lifespan_sees_jobs_of_the_tests_only(both: pytest.Pytester, run_apart: Run) -> None:
    both.makepyfile(
        test_sync="""
        import pytest
        import shop

        @pytest.fixture(scope="session")
        def anyio_backend():
            return "asyncio"

        @pytest.fixture(scope="session", autouse=True)
        async def lifespan(anyio_backend):
            async with shop.app:
                yield

        @pytest.mark.anyio
        @pytest.mark.parametrize("number", range(3))
        async def test_it(run_jobs, number):
            assert await shop.mail.defer_async(to="a") == 1
            assert (await run_jobs.run_async()).names == ["mail"]
            assert not shop.Untouchable.opened
        """
    )
    run_apart("-p", "anyio.pytest_plugin").assert_outcomes(passed=3)
