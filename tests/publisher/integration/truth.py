"""What the simulator's oracles really said: the bus may hold the newest of it, and nothing that was never said."""

from __future__ import annotations

from collections import defaultdict

from drift_schemas import PriceEvent
from drift_simulator import Simulator
from tests.support.publishing import BusReader
from tests.support.wait import wait_until

__all__ = ["Truth"]


class Truth:
    """Every price that every market's oracle has had since this was made, by the market's name."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.prices: defaultdict[str, list[int]] = defaultdict(list)
        self.look()
        sim.cluster.ledger.listen(lambda address, _: self._note(address))

    def look(self) -> None:
        """Notes every market's price as it is now; needed after a market has moved to another oracle."""
        self._note("")

    def now(self) -> dict[str, int]:
        """Each market's price as its oracle account says it now."""
        return {name: prices[-1] for name, prices in self.prices.items()}

    async def arrives(self, bus: BusReader, *, without: tuple[str, ...] = (), timeout_s: float = 45.0) -> None:
        """Freezes the chain and waits until the bus says what it says, market by market; then looks back.

        No price ever published may be one that the market's own oracle never had.
        """
        self._sim.pause_walk()
        wanted = {name: price for name, price in self.now().items() if name not in without}

        def wrong() -> dict[str, tuple[int, int | None]]:
            last = {name: self._published(bus, name) for name in wanted}
            return {name: (price, last[name]) for name, price in wanted.items() if last[name] != price}

        try:
            await wait_until(lambda: not wrong(), timeout_s)
        except AssertionError:
            raise AssertionError(f"not within {timeout_s} s on the bus (wanted, found): {wrong()}") from None
        self.was_never_left(bus)

    def was_never_left(self, bus: BusReader) -> None:
        """Fails where the bus has ever shown a price that the market's oracle never had."""
        for name, prices in self.prices.items():
            events = bus.changes[f"price.{name}"] + bus.reassertions[f"price.{name}"]
            shown = {event.oracle_price for event in events if isinstance(event, PriceEvent)} - {None}
            assert shown <= set(prices), f"{name} never had the price {shown - set(prices)}"

    def _published(self, bus: BusReader, name: str) -> int | None:
        event = bus.last("price", name)
        return event.oracle_price if isinstance(event, PriceEvent) else None

    def _note(self, address: str) -> None:
        cluster = self._sim.cluster
        for market in cluster.markets:
            if market.oracle_source != "QuoteAsset" and address in ("", str(market.oracle)):
                price = cluster.oracles[market.oracle].read(market.oracle_source, cluster.slot).price
                self.prices[market.name].append(price)
