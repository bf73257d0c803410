"""`python -m pq_cli` is `pq`."""

from __future__ import annotations

from pq_cli.main import main

if __name__ == "__main__":
    main()
