"""Those whom the shop talks to, as tests have them."""

import attrs
from shop.outside import CardDeclined, GatewayDown


@attrs.define
class FakeGateway:
    """Takes money once for each key.

    Attributes:
        fault: what it does instead.
        payments: ids of payments by key.
        taken: cents in all.
    """

    fault: type[CardDeclined | GatewayDown] | None = None
    payments: dict[str, str] = attrs.field(factory=dict)
    taken: int = 0

    async def charge(self, *, key: str, cents: int) -> str:
        if self.fault:
            raise self.fault(f"{cents} cents")
        if key not in self.payments:
            self.payments[key] = f"payment {len(self.payments) + 1}"
            self.taken += cents
        return self.payments[key]


@attrs.define
class FakeMailer:
    sent: dict[str, str] = attrs.field(factory=dict)

    async def send(self, *, key: str, to: str, text: str) -> None:
        self.sent.setdefault(key, f"{to}: {text}")


@attrs.define
class FakeCarrier:
    """Has delivered a parcel when it has been asked for it that many times."""

    asked: int = 0
    times: int = 1

    async def delivered(self, order: int) -> bool:
        self.asked += 1
        return self.asked >= self.times
