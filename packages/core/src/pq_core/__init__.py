"""A PostgreSQL job queue whose users can test everything they build on it."""
