"""The program of the parent. Its arguments: name of the workers, how many, log level, ``once`` or nothing."""

from __future__ import annotations

import sys

from pq_cli.fleet.ears import listening
from pq_cli.fleet.parent import Parent
from pq_cli.log_lines import begin_logging


def main() -> None:
    """Run the fleet, and end as it did."""
    worker, processes, log_level, *once = sys.argv[1:]
    begin_logging(log_level)
    with listening() as ears:
        code = Parent(worker, int(processes), once=bool(once), ears=ears).run()
    sys.exit(code)


if __name__ == "__main__":
    main()
