from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pq_benchmarks import cost_model
from pq_benchmarks.contender import Contender
from pq_benchmarks.elsewhere import elsewhere
from pq_benchmarks.figures import Sample, Target
from pq_benchmarks.page import COST_MODEL, FIGURES, PLOT, REFERENCE, RESULTS, figures, publish
from pq_benchmarks.plot import OWN, YARDSTICK, Bar, Panel, draw, plot
from pq_benchmarks.report import Report, merged
from pq_benchmarks.round_robin import Failure
from pq_benchmarks.scenarios import SCENARIOS, Scenario

LOOP = Contender(name="bare loop", command=("loop",), contract="no queue")
DRAIN = Scenario(
    name="drain",
    title="the <drain>",
    measure=lambda _, __: {},
    targets=(Target(value="jobs_per_s", at_least=2.0, against="peer", must="drain against peer"),),
    yardsticks=(LOOP,),
)


def sample(contender: str, turn: int = 0, **figures: float) -> Sample:
    return Sample(scenario="drain", contender=contender, round=turn, values=figures)


def report(*samples: Sample, commit: str = "abc") -> Report:
    return Report(
        surroundings={"commit": commit, "machine": "2 CPUs"},
        contracts={"pq": "history kept", "peer": "jobs deleted", "bare loop": "no queue"},
        scenarios=[DRAIN],
        samples=samples,
    )


def shapes(svg: str, name: str) -> list[ET.Element]:
    return ET.fromstring(svg).findall(f"{{http://www.w3.org/2000/svg}}{name}")


def test_others_win_where_their_median_is_better_more_or_less_as_the_figure_wants() -> None:
    text = elsewhere(
        report(
            sample("pq", jobs_per_s=100.0, worker_us=20.0, wal_bytes=900.0, rss_mb=40.0),
            sample("peer", jobs_per_s=150.0, worker_us=30.0, wal_bytes=600.0, rss_mb=40.1),
        )
    )
    assert text.splitlines() == [
        "- peer",
        "  - the <drain>: 150 jobs/s (pq 100 jobs/s), 600 bytes of WAL a job (pq 900 bytes)",
    ]


def test_a_yardstick_wins_nothing() -> None:
    assert not elsewhere(report(sample("pq", jobs_per_s=1.0), sample("bare loop", jobs_per_s=9.0)))


def test_the_plot_has_a_bar_for_each_contender_in_proportion_and_is_valid_xml() -> None:
    svg = plot(
        report(*(sample(name, jobs_per_s=rate) for name, rate in (("pq", 4e4), ("peer", 1e4), ("bare loop", 2e4))))
    )
    bars = [shape for shape in shapes(svg, "rect") if shape.get("rx") is None]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert [round(width / widths[0], 2) for width in widths] == [1.0, 0.25, 0.5]
    assert [bar.get("fill") for bar in bars][::2] == [OWN, YARDSTICK]
    assert {"40,000", "pq", "the <drain> (jobs/s)"} <= {shape.text for shape in shapes(svg, "text")}


def test_a_bar_shows_its_range_and_a_scale_of_nothing_does_not_fail() -> None:
    panel = Panel(
        title="", bars=[Bar(label="a", median=1.0, least=0.5, most=2.0), Bar(label="b", median=0, least=0, most=0)]
    )
    assert len(shapes(draw([panel]), "path")) == 2
    draw([Panel(title="", bars=[Bar(label="b", median=0, least=0, most=0)])])
    draw([])


def test_what_is_published_can_be_published_again_from_itself(tmp_path: Path) -> None:
    first = report(sample("pq", jobs_per_s=1 / 3), sample("peer", jobs_per_s=2.0))
    publish(first, tmp_path)
    written = {name: (tmp_path / name).read_text() for name in (FIGURES, PLOT, RESULTS)}
    publish(Report.read(written[RESULTS]), tmp_path)
    assert (tmp_path / RESULTS).read_text() == written[RESULTS]


def test_the_cost_model_is_published_with_what_it_is_fitted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_model, "report", lambda results: f"{len(results['samples'])} points")
    for name in ("reference", "explanation"):
        (tmp_path / name).mkdir()
    publish(report(sample("pq", jobs_per_s=1.0)), tmp_path / "reference")
    assert not [*(tmp_path / "explanation").iterdir()]
    load = Sample(scenario="load", contender="pq", round=0, values={"rate_0": 0.0})
    publish(report(load), tmp_path / "reference")
    assert (tmp_path / "reference" / COST_MODEL).read_text() == "1 points"


def test_the_page_names_what_was_not_measured() -> None:
    text = figures(report(sample("pq", jobs_per_s=1.0)))
    assert "- commit: abc" in text
    assert "Not measured in this run: `" in text
    assert "`idle`" in text


def test_runs_are_merged_with_rounds_of_their_own_and_every_commit_is_named_once() -> None:
    failure = Failure(scenario="drain", contender="peer", round=0, reason="")
    one = report(sample("pq", 0, jobs_per_s=1.0), sample("pq", 1, jobs_per_s=2.0))
    two = report(sample("pq", 0, jobs_per_s=3.0), commit="def").plus(failure)
    both = merged([one, two, report(sample("pq", 0, jobs_per_s=4.0), commit="def")])
    assert [sample.round for sample in both.samples] == [0, 1, 2, 3]
    assert [failure.round for failure in both.failures] == [2]
    assert both.surroundings == {"commit": "abc; def", "machine": "2 CPUs"}


def test_the_figures_in_the_documentation_are_those_of_the_results_beside_them() -> None:
    published = Report.read((REFERENCE / RESULTS).read_text())
    advice = "run: nox -s bench -- --from docs/reference/benchmarks.json --publish"
    assert (REFERENCE / FIGURES).read_text() == figures(published), advice
    assert (REFERENCE / PLOT).read_text() == plot(published), advice


def test_the_page_names_every_scenario() -> None:
    page = (REFERENCE / "benchmarks.md").read_text()
    assert [scenario.name for scenario in SCENARIOS if f"`{scenario.name}`" not in page] == []
