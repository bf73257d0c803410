"""Which queue a command is about: that of an app, or of a database named directly."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

import attrs
import typer

from pq_cli.app_loader import connector_to, load_app
from pq_core import App


@attrs.frozen
class Target:
    """What the options ``--app``, ``--dsn`` and ``--schema`` say.

    With a DSN the database is reached directly; else through the app; without an app, by libpq's environment.
    """

    app: str | None
    dsn: str | None
    schema: str | None

    def __attrs_post_init__(self) -> None:
        if self.app is not None and self.schema is not None and self.dsn is None:
            raise typer.BadParameter(
                f"the app {self.app!r} knows its own schema: to use another one, give --dsn too (an empty one will do)",
                param_hint="'--schema'",
            )

    @property
    def through_app(self) -> bool:
        """Whether only the app knows where the database is."""
        return self.app is not None and self.dsn is None

    @contextmanager
    def jobs_only(self) -> Generator[App]:
        """Give an app to look after jobs with, its tasks unknown unless the app had to be imported anyway."""
        with self._closing(load_app(self.app) if self.app is not None and self.dsn is None else self._bare()) as app:
            yield app

    @contextmanager
    def with_tasks(self) -> Generator[App]:
        """Give the app, its tasks imported.

        Raises:
            AppNotFound: it cannot be imported.
            typer.BadParameter: none was named.
        """
        if self.app is None:
            raise typer.BadParameter(
                "this command needs an app: name it as mycode:app, here or in PQ_APP", param_hint="'--app'"
            )
        app = load_app(self.app)
        if self.dsn is not None:
            app.connector = connector_to(self.dsn, self.schema)
        with self._closing(app):
            yield app

    def to_defer(self, *, unknown: bool) -> AbstractContextManager[App]:
        """Give the app, its tasks imported; or, if they may be `unknown` and none was named, one to look after jobs."""
        return self.jobs_only() if unknown and self.app is None else self.with_tasks()

    def _bare(self) -> App:
        return App(connector=connector_to(self.dsn, self.schema))

    @contextmanager
    def _closing(self, app: App) -> Generator[App]:
        try:
            yield app
        finally:
            app.close()
