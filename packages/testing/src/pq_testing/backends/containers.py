"""A server in a container, through testcontainers."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pq_testing.backends.errors import PostgresNotAvailable
from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.external import ExternalServer

_IMAGE = "postgres:18"
_HOMES = ("testcontainers.community.postgres", "testcontainers.postgres")  # the newer first: the other warns


def start_container() -> tuple[DatabaseServer, Callable[[], object]]:
    """Start PostgreSQL in a container; return the server, and what ends it.

    Whatever goes wrong once Docker has answered is not hidden: it is no sign that there is none.

    Raises:
        PostgresNotAvailable: testcontainers is not installed, or Docker does not answer.
    """
    make = _container_class()
    if refusal := _ask_docker():
        raise PostgresNotAvailable(f"testcontainers: Docker does not answer ({refusal})")
    container = make(_IMAGE, driver=None)
    container.start()
    try:
        server = ExternalServer.connect(container.get_connection_url(), name="testcontainers")
    except BaseException:
        container.stop()
        raise
    return server, container.stop


def _container_class() -> Any:
    for home in _HOMES:
        try:
            return import_module(home).PostgresContainer
        except ModuleNotFoundError as missing:
            if not (missing.name or "").startswith(("testcontainers", "docker")):
                raise
    raise PostgresNotAvailable("testcontainers: not installed")


def _ask_docker() -> str:
    """Return why Docker does not answer; nothing, if it does."""
    docker: Any = import_module("docker")  # testcontainers brings it
    with warnings.catch_warnings():
        # Where it cannot connect, it leaves a socket to the garbage collector, which would complain in some test.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
            client.ping()
            client.close()
        except docker.errors.DockerException as reason:
            refusal = _short(reason)
        else:
            return ""
        gc.collect()
    return refusal


def _short(reason: BaseException) -> str:
    text = " ".join(str(reason).split())
    return text if len(text) <= 120 else f"{text[:117]}..."  # noqa: PLR2004 - fits a line with the others
