from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


def test_with_one_ini_line_every_test_has_its_jobs_to_itself(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import pq_core as pq
        import shop

        def test_one():
            assert shop.mail.defer(to="a") == 1

        def test_two(app, run_jobs):
            assert app is shop.app
            assert shop.mail.defer(to="b") == 1
            assert run_jobs().names == ["mail"]
            assert shop.mails == ["b"]

        def test_three():
            assert isinstance(shop.app.connector, pq.InMemoryConnector)
            assert not isinstance(shop.app.connector, shop.Untouchable)
            assert not shop.app.jobs.find()
        """
    )
    run().assert_outcomes(passed=3)


def test_what_a_fixture_defers_before_anything_of_pq_is_asked_for_is_a_job_of_the_test(
    shop: pytest.Pytester, run: Run
) -> None:
    shop.makepyfile(
        """
        import pytest
        import shop

        @pytest.fixture
        def customer():
            shop.mail.defer(to="a")

        def test_it(customer, app, run_jobs, pq_clock):
            assert run_jobs().names == ["mail"]
        """
    )
    run().assert_outcomes(passed=1)


def test_the_app_has_its_own_connector_back_after_the_session(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile("def test_it(app): app.open()")
    shop.makeconftest(
        """
        import shop

        def pytest_unconfigure():
            print("back", type(shop.app.connector).__name__, shop.app.connector.opened)
        """
    )
    run("-s").stdout.fnmatch_lines(["back Untouchable False"])


def test_an_application_that_a_session_wide_lifespan_opens_sees_jobs_of_the_test_only(
    shop: pytest.Pytester, run: Run
) -> None:
    shop.makepyfile(
        """
        import threading

        import pytest
        import shop

        @pytest.fixture(scope="session", autouse=True)
        def lifespan():
            with shop.app:
                yield
            shop.app.open()

        @pytest.mark.parametrize("number", range(3))
        def test_it(number, run_jobs):
            thread = threading.Thread(target=shop.mail.defer, kwargs={"to": f"mail {number}"})
            thread.start()
            thread.join()
            run_jobs()
            assert shop.mails.pop() == f"mail {number}"
            assert not shop.mails

        def test_the_own_connector_was_never_opened():
            assert not shop.Untouchable.opened
        """
    )
    run().assert_outcomes(passed=4)


def test_unasked_swapping_can_be_switched_off(shop: pytest.Pytester, run: Run) -> None:
    shop.makeini("[pytest]\npq_app = 'shop:app'\npq_autouse = false\n")
    shop.makepyfile(
        """
        import shop

        def test_unasked():
            assert type(shop.app.connector) is shop.Untouchable

        def test_asked(run_jobs):
            assert type(shop.app.connector) is not shop.Untouchable
        """
    )
    run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "path, cause",
    [
        ("shoop:app", "*module 'shoop' cannot be imported: ModuleNotFoundError: No module named 'shoop'*"),
        ("shop:apps", "*module 'shop' has no 'apps'*"),
        ("shop:mails", "*is a list, not an App*"),
        ("shop", "*'shop' does not name an app*"),
        ("mistaken:app", "*module 'mistaken' cannot be imported: ZeroDivisionError*"),
        ("leaving:app", "*SystemExit: 3*"),
    ],
)
def test_an_app_that_cannot_be_had_is_one_error_for_the_whole_session(
    shop: pytest.Pytester, run: Run, path: str, cause: str
) -> None:
    shop.makeini(f"[pytest]\npq_app = {path}\n")
    shop.makepyfile(
        mistaken="1 / 0", leaving="raise SystemExit(3)", test_it="def test_it(): pass\ndef test_two(): pass"
    )
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pq: pq_app = {path} is no App: {cause} Name it like package.module:app; *"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_suite_that_is_only_collected_imports_no_app(shop: pytest.Pytester, run: Run) -> None:
    shop.makeini("[pytest]\npq_app = nowhere:app\n")
    shop.makepyfile("def test_it(): pass")
    assert run("--collect-only").ret == pytest.ExitCode.OK


def test_without_an_ini_line_the_app_is_empty_and_new_in_each_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(app, pq_app, run_jobs, pq_run_jobs, pq_clock, pq_connector, pq_effects, number):
            assert (pq_app, pq_run_jobs) == (app, run_jobs)
            assert pq_connector is app.connector is run_jobs.connector
            assert (pq_clock, pq_effects) == (run_jobs.clock, run_jobs.effects)

            @app.task(name="same")
            def same(): pass

            same.defer()
            assert run_jobs().names == ["same"]
        """
    )
    run().assert_outcomes(passed=2)


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("answer", ["made", "lambda: made"])
def test_a_factory_of_the_user_may_have_any_scope_and_return_an_app_or_what_makes_one(
    pytester: pytest.Pytester, run: Run, scope: str, answer: str
) -> None:
    pytester.makeconftest(
        f"""
        import pytest
        import pq_core as pq

        made = pq.App(connector=pq.InMemoryConnector())
        own = made.connector

        @made.task(name="work")
        def work(): pass

        @pytest.fixture(scope="{scope}")
        def pq_app_factory():
            return {answer}
        """
    )
    pytester.makepyfile(
        """
        import conftest
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(app, run_jobs, number):
            assert app is conftest.made
            conftest.work.defer()
            assert run_jobs().count("work") == 1

        def test_its_own_connector_is_back():
            assert conftest.made.connector is conftest.own
        """
    )
    run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    "factory, said",
    [
        ("async def pq_app_factory(): return 1", "fixture pq_app_factory is async, *: write it with `def`, and open *"),
        ("async def pq_app_factory(): yield 1", "fixture pq_app_factory is async, *"),
        ("def pq_app_factory():\n    async def make(): pass\n    return make", "fixture pq_app_factory is async, *"),
        ("def pq_app_factory(): return 7", "fixture pq_app_factory gave a int, 7: return an App of pq_core, or a fun*"),
        ("def pq_app_factory(): return lambda: None", "fixture pq_app_factory gave a NoneType, None: *"),
        ("def pq_app_factory():\n    import pq_core\n    return pq_core.App", "fixture pq_app_factory gave a type, *"),
    ],
)
def test_a_factory_that_gives_no_app_is_told_what_to_write(
    pytester: pytest.Pytester, run: Run, factory: str, said: str
) -> None:
    pytester.makeconftest(f"import pytest\n@pytest.fixture\n{factory}\n")
    pytester.makepyfile("def test_it(app): pass")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_app_fixture_of_the_user_does_not_disturb_run_jobs(shop: pytest.Pytester, run: Run) -> None:
    shop.makeconftest("import pytest\n@pytest.fixture\ndef app(): return 'web application'\n")
    shop.makepyfile(
        """
        import shop

        def test_it(app, run_jobs):
            assert app == "web application"
            shop.mail.defer(to="a")
            assert run_jobs().names == ["mail"]
        """
    )
    run().assert_outcomes(passed=1)


def test_a_fixture_of_wider_scope_cannot_have_the_jobs_of_a_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def everything(run_jobs): pass

        def test_it(everything): pass
        """
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch: *function scoped fixture run_jobs with a session scoped request*"])
    result.stdout.fnmatch_lines(["*use pq_testing.using(app)*"])


def test_nothing_of_a_test_is_left_after_it(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import gc
        import weakref

        import shop

        left = []

        def test_one(app, run_jobs, pq_clock):
            left.extend(map(weakref.ref, (run_jobs, run_jobs.harness, pq_clock, app.connector)))
            shop.mail.defer(to="a")
            run_jobs()

        def test_two():
            gc.collect()
            assert [each() for each in left] == [None] * 4
        """
    )
    run().assert_outcomes(passed=2)


def test_an_app_that_cannot_be_had_fails_each_test_where_nobody_can_refuse_the_session(
    shop: pytest.Pytester, run_apart: Run
) -> None:
    shop.makeini("[pytest]\npq_app = nowhere:app\n")
    shop.makepyfile("def test_it(): pass\ndef test_two(): pass")
    result = run_apart("-p", "xdist", "-n1")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["pq: pq_app = nowhere:app is no App: *"])
    result.stdout.no_fnmatch_line("*Traceback*")
