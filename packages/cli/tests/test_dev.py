from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("words", [["demo"], ["dev"], ["dev", "status"], ["dev", "stop"]], ids=" ".join)
def test_without_pq_testing_one_line_says_what_to_install(
    bare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, project: Path, words: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pq_testing", None)
    assert bare(*words, code=1).stderr == "pq: `pq demo` and `pq dev` need pq-testing: pip install 'pq-cli[dev]'\n"
    assert list(project.iterdir()) == []


def test_another_module_that_is_missing_is_not_mistaken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from pq_cli.toolkit import postgres

    for name in [name for name in sys.modules if name.startswith("pq_testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pq_core.errors", None)
    with pytest.raises(ModuleNotFoundError, match="pq_core"):
        postgres()


@pytest.mark.parametrize("options", [["--json"], ["--env"], ["--schema", "x"], ["--directory", ".."]])
def test_options_before_a_subcommand_are_refused_rather_than_ignored(
    bare: Callable[..., Any], options: list[str]
) -> None:
    assert "stand behind the word status" in " ".join(bare("dev", *options, "status", code=2).stderr.split())


def test_variables_and_json_exclude_each_other(bare: Callable[..., Any], project: Path) -> None:
    assert "exclude each other" in bare("dev", "--env", "--json", code=2).stderr
    assert list(project.iterdir()) == []


def test_a_project_that_is_not_there_is_refused(bare: Callable[..., Any]) -> None:
    assert "not_there" in bare("dev", "--directory", "not_there", code=2).stderr


def test_a_project_without_a_server_says_so(bare: Callable[..., Any], project: Path) -> None:
    result = bare("dev", "status", code=1)
    assert (result.stdout, str(project) in result.stderr) == ("", True)
    assert "no server runs" in bare("dev", "stop").stderr
    assert list(project.iterdir()) == []
