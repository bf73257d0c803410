"""Measure: ``python -m pq_benchmarks [--full] [--only NAME] [--no-peers] [--json FILE]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from pq_benchmarks.contender import PQ
from pq_benchmarks.figures import Sample
from pq_benchmarks.peers import find_peers
from pq_benchmarks.report import Report
from pq_benchmarks.round_robin import choose, play
from pq_benchmarks.scenarios import SCENARIOS
from pq_benchmarks.server import durable_server
from pq_benchmarks.stage import FULL, QUICK, Stage
from pq_benchmarks.surroundings import describe


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line names, and print the report. Interrupted, it prints what it has."""
    options = _parser().parse_args(arguments)
    try:
        scenarios = choose(options.only)
    except ValueError as unknown:
        _parser().error(str(unknown))
    sizes = FULL if options.full else QUICK
    if options.rounds:
        sizes = attrs.evolve(sizes, rounds=options.rounds)
    peers = [] if options.no_peers or not any(scenario.peers for scenario in scenarios) else find_peers()
    samples: list[Sample] = []
    with durable_server(options.data) as server, tempfile.TemporaryDirectory() as directory:
        surroundings = describe(server)
        stage = Stage(server=server, directory=Path(directory), sizes=sizes)
        try:
            for sample in play(stage, scenarios, peers):
                samples.append(sample)
                _say(sample)
        except KeyboardInterrupt:
            print("Interrupted: the report is of what was measured until now.", file=sys.stderr)
    report = Report(surroundings=surroundings, scenarios=scenarios, contenders=[PQ, *peers], samples=samples)
    print(report.table())
    if options.json:
        options.json.write_text(report.json() + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pq_benchmarks", description="Measure speed and memory of pq and its peers.")
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--full", action="store_true", help="measure more, and more often: takes about an hour")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help=f"one scenario of {names}; repeatable"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each takes its turn")
    parser.add_argument("--no-peers", action="store_true", help="measure pq alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, as JSON")
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="put the server's data there, on a disk")
    return parser


def _say(sample: Sample) -> None:
    """Show progress."""
    figures = ", ".join(f"{name} {figure:,.1f}" for name, figure in sample.values.items())
    print(f"round {sample.round + 1}: {sample.scenario}: {sample.contender}: {figures}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
