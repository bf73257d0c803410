"""Whether one colour of the connector may be used: opened, closed, or in a fork of the process that opened it."""

from __future__ import annotations

import os

import attrs

from pq_core.errors import ConnectorClosed, ForkedConnector


@attrs.define
class Door:
    """The state of one colour.

    Who never called open() need not care: what the first use took, close() gives back, and the next use takes anew.
    After an open(), close() means it.
    """

    _opened: bool = False
    _closed: bool = False
    _pid: int | None = None

    def open(self) -> bool:
        """Note that the user opened it; return whether what it has belongs to another process, and is to be left."""
        self._opened, self._closed = True, False
        foreign = self._pid not in (None, os.getpid())
        if foreign:
            self._pid = None
        return foreign

    def enter(self) -> None:
        """Note that this process holds connections from now on."""
        self._pid = os.getpid()

    def close(self) -> bool:
        """Note that the user closed it; return whether connections are this process's to close."""
        self._closed = self._opened
        ours = self._pid == os.getpid()
        self._pid = None
        return ours

    def check(self) -> None:
        """Refuse if closed, or if another process holds the connections: two would write into one socket.

        Raises:
            ConnectorClosed: after a close().
            ForkedConnector: this process is a fork of the one that holds the connections.
        """
        if self._closed:
            msg = "the connector is closed; open() it again"
            raise ConnectorClosed(msg)
        if self._pid not in (None, os.getpid()):
            msg = (
                f"this connector was opened in process {self._pid}, of which this one ({os.getpid()}) is a fork; "
                "open() it here, or make another after the fork"
            )
            raise ForkedConnector(msg)
