"""Run jobs from a queue in PostgreSQL, and test all of it in memory."""
