"""The command `pq`: workers, schema, jobs, demo."""
