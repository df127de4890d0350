from characterization import Subject as Base
from characterization import World, cap, drop, few, operation, seconds, small
from engine.stock import Stock


class Subject(Base):
    """Goods that customers reserve."""

    name = "theirs.stock"
    horizons = (seconds(60),)
    keys = {"stock:{good}": "stock({good})", "reservation:{id}": "reservation({id})"}
    abstractions = (cap("stock(*)", 1), few("reservation(*)", 1), drop("reservation(*).since"))

    def replica(self, world: World) -> Stock:
        return Stock(world.redis())

    @operation(good=small("apple"), pieces=small(1, 2))
    async def fill(self, stock: Stock, good: str, pieces: int) -> None:
        await stock.fill(good, pieces)

    @operation(good=small("apple"))
    async def reserve(self, stock: Stock, good: str) -> str:
        return await stock.reserve(good)

    @operation()
    async def reservations(self, stock: Stock) -> int:
        return await stock.reservations()
