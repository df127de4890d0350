"""What hunts are after: small services that are right, each with a twin whose defect calls in order do not show."""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import strategies as st
from redis.asyncio import Redis

from characterization import Run, Subject, World, cap, law, operation, seconds, small
from characterization.subject import Answered


class Counting(Subject):
    """Counts in one key."""

    name = "prey.counting"
    abstractions: ClassVar = (cap("n", 3),)

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation()
    async def count(self, redis: Redis) -> None:
        await redis.incr("n")

    @operation()
    async def read(self, redis: Redis) -> int:
        return int(await redis.get("n") or 0)

    @law
    def what_was_acknowledged_is_counted(self, run: Run) -> None:
        """Or somebody is not paid."""
        counted = [call for call in run.calls if call.operation == "count" and call.acknowledged]
        run.assume(counted)
        before, after = run.before.get("n") or 0, run.after.get("n") or 0
        assert after >= before + len(counted), f"{before}, and {len(counted)} more, are {after}"


class LosesUpdates(Counting):
    """Reads, adds one, and writes: two at once may count as one."""

    @operation()
    async def count(self, redis: Redis) -> None:
        await redis.set("n", int(await redis.get("n") or 0) + 1)


class Leasing(Subject):
    """Keeps who is there, for a minute."""

    name = "prey.leasing"
    horizons = (seconds(60),)

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation(who=small("ann", "bob"))
    async def come(self, redis: Redis, who: str) -> None:
        await self.pipeline(redis).sadd("there", who).expire("there", 60).execute()

    def pipeline(self, redis: Redis) -> Any:
        """In which both commands travel."""
        return redis.pipeline(transaction=True)

    @operation()
    async def leave(self, redis: Redis) -> None:
        await redis.delete("there")

    @law
    def everything_is_forgotten_in_time(self, run: Run) -> None:
        """Or Redis fills up."""
        run.assume(run.after.words())
        assert all(run.after[word].ttl != "none" for word in run.after.words()), "a key is kept for ever"


class ForgetsToForget(Leasing):
    """Its pipeline is not a transaction, and may be cut in half."""

    def pipeline(self, redis: Redis) -> Any:
        return redis.pipeline(transaction=False)


class Box:
    """A list in Redis, with some of it kept back where that is allowed."""

    def __init__(self, redis: Redis, *, lazy: bool) -> None:
        self.redis = redis
        self.lazy = lazy
        self.kept: list[str] = []

    async def put(self, thing: str) -> None:
        self.kept.append(thing)
        if not self.lazy:
            await self.flush()

    async def flush(self) -> None:
        kept, self.kept = self.kept, []
        if kept:
            await self.redis.rpush("box", *kept)


class Boxing(Subject):
    """Puts things into a box."""

    name = "prey.boxing"
    abstractions: ClassVar = (cap("puts", 3),)
    lazy = False

    def replica(self, world: World) -> Box:
        return Box(world.redis(), lazy=self.lazy)

    def local(self, replica: Box) -> Any:
        return {"kept": replica.kept}

    @operation(thing=small("cup"))
    async def put(self, box: Box, thing: str) -> None:
        await box.put(thing)

    @operation()
    async def flush(self, box: Box) -> None:
        await box.flush()

    @law
    def nothing_is_lost(self, run: Run) -> None:
        """What was put is stored, or will be."""
        run.assume(not run.failed)
        here = [len(run.before.get(word)["kept"]) for word in run.before.words() if word.startswith("memory")]
        then = [len(run.after.get(word)["kept"]) for word in run.after.words() if word.startswith("memory")]
        before, after = len(run.before.get("box") or ()) + sum(here), len(run.after.get("box") or ()) + sum(then)
        assert after >= before, f"there were {before}, there are {after}"


class LosesWhatItKeeps(Boxing):
    """Keeps what is put in memory until it is flushed: a crash takes it along."""

    lazy = True


class Naming(Subject):
    """Keeps a name."""

    name = "prey.naming"
    encoding = "utf-8"

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation(name=small("ann", wide=st.text(max_size=5)))
    async def call(self, redis: Redis, name: str) -> None:
        await redis.set("name", name.encode(self.encoding, "surrogatepass"))

    @law
    def every_name_is_taken(self, run: Run) -> None:
        """It is theirs, and not ours to choose."""
        calls: list[Answered] = [call for call in run.calls if not run.fault]
        run.assume(calls)
        for call in calls:
            assert not call.raised, f"{call.answer}"


class TakesPlainNames(Naming):
    """Writes names as ASCII, which its few values are."""

    encoding = "ascii"


# The twin that has the defect, and the shortest program that shows it.
PLANTED: dict[type[Subject], str] = {
    LosesUpdates: "{ count || count : 1 2*2 1 }",
    ForgetsToForget: "come ann ! cancelled before @2",
    LosesWhatItKeeps: "put cup ; crash @1",
    TakesPlainNames: "call '=\"\x80\"'",
}
HEALTHY: tuple[type[Subject], ...] = (Counting, Leasing, Boxing, Naming)
