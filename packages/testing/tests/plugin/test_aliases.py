from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

OWNER = """
import pytest

@pytest.fixture
def {name}():
    return "theirs"
"""


def test_aliases_can_be_switched_off(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeini("[pytest]\npq_aliases = false\n")
    pytester.makepyfile(
        "def test_app(app): pass\ndef test_jobs(run_jobs): pass\ndef test_it(pq_app, pq_run_jobs): pass"
    )
    result = run()
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(["*fixture 'app' not found", "*fixture 'run_jobs' not found"])


@pytest.mark.parametrize("name, other", [("app", "run_jobs"), ("run_jobs", "app")])
@pytest.mark.parametrize("where", ["before", "after", "conftest"])
def test_an_alias_steps_aside_for_another_plugin_that_owns_its_name(
    pytester: pytest.Pytester, run: Run, name: str, other: str, where: str
) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(owner=OWNER.format(name=name))
    pytester.makepyfile(
        test_it=f"""
        def test_it({name}, {other}, pq_app, pq_run_jobs):
            assert {name} == "theirs"
            assert {other} is pq_{other}
        """
    )
    if where == "conftest":
        pytester.makeconftest("pytest_plugins = ['owner']")
        run().assert_outcomes(passed=1)
    else:
        order = ["-p", "owner", "-p", "pq_testing.plugin"]
        pytester.runpytest_inprocess(*(order if where == "before" else order[2:] + order[:2])).assert_outcomes(passed=1)


def test_a_fixture_of_one_directory_leaves_the_alias_to_the_others(pytester: pytest.Pytester, run: Run) -> None:
    for name in ("web", "jobs"):
        pytester.mkdir(name)
    pytester.path.joinpath("web/conftest.py").write_text(OWNER.format(name="app"), encoding="utf-8")
    pytester.path.joinpath("web/test_web.py").write_text("def test_web(app): assert app == 'theirs'", encoding="utf-8")
    pytester.path.joinpath("jobs/test_jobs.py").write_text(
        "def test_jobs(app, pq_app): assert app is pq_app", encoding="utf-8"
    )
    run().assert_outcomes(passed=2)
    run("web", "jobs").assert_outcomes(passed=2)


def test_the_plugin_for_flask_finds_no_app_of_pq(pytester: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_flask")
    pytester.makepyfile(
        """
        def test_jobs(pq_app, run_jobs):
            @pq_app.task(name="work")
            def work(): pass

            work.defer()
            assert run_jobs().names == ["work"]

        def test_app(app): pass
        """
    )
    result = run_apart("-p", "pytest_flask.plugin")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'app' not found"])


def test_an_app_of_flask_and_the_jobs_of_pq_serve_one_test(pytester: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_flask")
    pytester.makepyfile(
        conftest="""
        import flask
        import pytest

        @pytest.fixture
        def app(pq_app):
            web = flask.Flask(__name__)

            @pq_app.task(name="mail")
            def mail(to: str): pass

            @web.route("/sign-up")
            def sign_up():
                mail.defer(to="a")
                return "welcome"

            return web
        """,
        test_it="""
        from flask import url_for

        def test_it(client, run_jobs):
            assert client.get(url_for("sign_up")).text == "welcome"
            assert run_jobs().names == ["mail"]
        """,
    )
    run_apart("-p", "pytest_flask.plugin").assert_outcomes(passed=1)


def test_the_fixtures_of_sphinx_keep_their_app(pytester: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("sphinx")
    pytester.makepyfile(
        conftest="pytest_plugins = ['sphinx.testing.fixtures']",
        test_it="def test_it(request): assert 'sphinx' in request.session._fixturemanager.getfixturedefs('app', "
        "request.node)[-1].func.__module__",
    )
    run_apart("-W", "default").assert_outcomes(passed=1)
