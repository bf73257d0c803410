"""Schedules: this connector stores none, and says so."""

from __future__ import annotations

from typing import Any, NoReturn

from pq_core.errors import Unsupported


def refuse() -> NoReturn:
    raise Unsupported("SQLiteConnector stores no schedules; PsycopgConnector does")


class NoSchedules:
    async def schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    async def put_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    async def pause_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    async def remove_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    async def tick(self, *_: Any, **__: Any) -> NoReturn:
        refuse()


class NoSchedulesSync:
    def schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    def put_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    def pause_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    def remove_schedules(self, *_: Any, **__: Any) -> NoReturn:
        refuse()

    def tick(self, *_: Any, **__: Any) -> NoReturn:
        refuse()
