"""Measure: ``python -m pq_benchmarks [--full] [--only NAME] [--no-peers] [--json FILE] [--publish]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.elsewhere import elsewhere
from pq_benchmarks.figures import DISTURBED, Sample
from pq_benchmarks.page import publish
from pq_benchmarks.peers import find_peers
from pq_benchmarks.redis_server import redis_server
from pq_benchmarks.report import Report, merged
from pq_benchmarks.required import FOOTNOTE, required_table
from pq_benchmarks.round_robin import Failure, choose, play
from pq_benchmarks.scenarios import SCENARIOS, Scenario
from pq_benchmarks.server import durable_server
from pq_benchmarks.stage import FULL, QUICK, Stage
from pq_benchmarks.surroundings import describe


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line names, and print the report. Interrupted, it prints what it has."""
    options = _parser().parse_args(arguments)
    if options.results:
        report = merged([Report.read(path.read_text()) for path in options.results])
    else:
        try:
            scenarios = choose(options.only, full=options.full, required=options.required)
        except ValueError as unknown:
            _parser().error(str(unknown))
        report = _measure(options, scenarios)
    print("\n\n".join(part for part in _parts(report) if part))
    if options.publish:
        print("Written:", *publish(report), file=sys.stderr)


def _measure(options: argparse.Namespace, scenarios: Sequence[Scenario]) -> Report:
    sizes = FULL if options.full else QUICK
    if options.rounds:
        sizes = attrs.evolve(sizes, rounds=options.rounds)
    peers = [] if options.no_peers or not any(scenario.peers for scenario in scenarios) else find_peers()
    with (
        durable_server(options.data) as server,
        tempfile.TemporaryDirectory() as directory,
        redis_server(Path(directory)) as redis,
    ):
        if redis is None:
            print("Peers on Redis do not take part: redis-server is not here", file=sys.stderr)
            peers = [peer for peer in peers if peer.store != "redis"]
        report = Report(
            surroundings=describe(server, sizes),
            contracts={each.name: each.contract for each in _contenders(scenarios, peers)},
            scenarios=scenarios,
            samples=[],
        )
        stage = Stage(server=server, directory=Path(directory), sizes=sizes, redis=redis)
        try:
            for result in play(stage, scenarios, peers):
                report = report.plus(result)
                _say(result)
                if options.json:  # Each time: what took an hour is not lost when the last minute fails.
                    options.json.write_text(report.json() + "\n")
        except KeyboardInterrupt:
            print("Interrupted: the report is of what was measured until now.", file=sys.stderr)
    return report


def _contenders(scenarios: Sequence[Scenario], peers: Sequence[Contender]) -> list[Contender]:
    return [PQ, *peers, *(yardstick for scenario in scenarios for yardstick in scenario.yardsticks)]


def _parts(report: Report) -> list[str]:
    others = elsewhere(report)
    return [
        report.facts(),
        report.table(),
        f"Where others win:\n\n{others}" if others else "",
        required_table(report),
        FOOTNOTE,
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pq_benchmarks", description="Measure speed and memory of pq and its peers.")
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--full", action="store_true", help="measure more, and more often: takes hours")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help=f"one scenario of {names}; repeatable"
    )
    parser.add_argument("--required", action="store_true", help="measure only what pq must reach")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each takes its turn")
    parser.add_argument("--no-peers", action="store_true", help="measure pq alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, as JSON")
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="put the server's data there, on a disk")
    parser.add_argument("--publish", action="store_true", help="write the figures into the documentation")
    parser.add_argument(
        "--from",
        action="append",
        type=Path,
        default=[],
        dest="results",
        metavar="FILE",
        help="measure nothing: report what --json wrote; given again, the rounds of all are taken together",
    )
    return parser


def _say(result: Sample | Failure) -> None:
    """Show progress."""
    told = f"FAILED: {result.brief}" if isinstance(result, Failure) else _figures(result)
    print(f"round {result.round + 1}: {result.scenario}: {result.contender}: {told}", file=sys.stderr, flush=True)


def _figures(sample: Sample) -> str:
    figures = ", ".join(f"{name} {figure:,.1f}" for name, figure in sample.values.items())
    disturbed = f"; disturbed: {sample.disturbance:.0%}" if sample.disturbance > DISTURBED else ""
    return f"{figures} ({sample.took:.0f} s{disturbed})"


if __name__ == "__main__":
    main()
