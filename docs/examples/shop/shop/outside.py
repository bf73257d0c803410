"""Whom the shop talks to: its store, and by HTTP a payment gateway, a mail service and a carrier."""

from typing import Protocol

import attrs
import httpx2 as httpx

from shop.postgres_store import PostgresStore
from shop.store import Store


class GatewayDown(Exception):
    """Nobody answers; the next call may go through."""


class CardDeclined(Exception):
    """The next call will not go through either."""


class Gateway(Protocol):
    async def charge(self, *, key: str, cents: int) -> str:
        """Take the money and return the payment's id. Another call with the same key takes nothing more."""


class Mailer(Protocol):
    async def send(self, *, key: str, to: str, text: str) -> None:
        """Send a mail; nothing if one was sent with this key."""


class Carrier(Protocol):
    async def delivered(self, order: int) -> bool: ...


@attrs.frozen
class HttpGateway:
    url: str

    async def charge(self, *, key: str, cents: int) -> str:
        async with httpx.AsyncClient(base_url=self.url) as client:
            try:
                answer = await client.post("/charges", json={"cents": cents}, headers={"Idempotency-Key": key})
            except httpx.TransportError as reason:
                raise GatewayDown(self.url) from reason
        if answer.status_code == httpx.codes.PAYMENT_REQUIRED:
            raise CardDeclined(answer.text)
        return str(answer.raise_for_status().json()["id"])


@attrs.frozen
class HttpMailer:
    url: str

    async def send(self, *, key: str, to: str, text: str) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.post("/mails", json={"to": to, "text": text}, headers={"Idempotency-Key": key})
        answer.raise_for_status()


@attrs.frozen
class HttpCarrier:
    url: str

    async def delivered(self, order: int) -> bool:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.get(f"/parcels/{order}")
        return bool(answer.raise_for_status().json()["delivered"])


@attrs.define
class Outside:
    """Tests put others into its place."""

    store: Store = attrs.field(factory=PostgresStore)
    gateway: Gateway = HttpGateway("https://gateway.example")
    mailer: Mailer = HttpMailer("https://mails.example")
    carrier: Carrier = HttpCarrier("https://carrier.example")


outside = Outside()
