"""The lifecycle manager on a store in Redis and a chain that produces blocks when told to.

A session that ends at 104 may be claimed at [106, 110) and proved at [110, 114).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from engine.relay.errors import (
    LifecycleClosedError,
    LifecycleNotStartedError,
    LifecycleStartError,
    RelayError,
    SessionStoreError,
)
from engine.relay.lifecycle import LifecycleConfig, LifecycleManager
from engine.relay.session import SessionSnapshot
from engine.relay.store import SessionStore
from engine.relay.windows import ChainParameters
from simulator.chain import Chain
from tests.engine.relay.bench import AS_IS, Bench, Revision
from tests.engine.relay.commands import looking, moving, saving
from tests.engine.relay.samples import FINAL_STATES, INDEX, TEN_STATES, main_key, snapshot

PARAMETERS = ChainParameters(claim_open_offset=1, claim_close_offset=4, proof_open_offset=0, proof_close_offset=4)


class ChainRefusedError(Exception):
    """What the chain may say to a claim or a proof."""


class Miner:
    """A lifecycle manager with all that it is given. What its callbacks answer can be set."""

    def __init__(self, bench: Bench, *, revision: Revision = AS_IS, height: int = 100, size: int = 10) -> None:
        self.bench = bench
        self.store = bench.store(revision)
        self.chain = Chain({0: PARAMETERS}, height=height)
        self.roots: list[bytes | None] | None = None
        self.failing: set[str] = set()
        self.held: asyncio.Event | None = None
        self.under_way = self.most_under_way = 0
        self.batches: list[list[SessionSnapshot]] = []
        self.manager = self._manager(self.store, self.chain, size)

    def _manager(self, store: Any, blocks: Any, size: int) -> LifecycleManager:
        return LifecycleManager(
            store,
            blocks=blocks,
            on_claim=self._claim,
            on_proof=self._prove,
            on_session_proved=lambda session_id: self._called("proved", session_id),
            on_terminal=lambda session_id, state: self._called("terminal", session_id, state),
            config=LifecycleConfig(max_concurrent_transitions=size),
        )

    def instead(self, *, store: Any = None, blocks: Any = None) -> None:
        """Give the manager another store or another source of blocks."""
        self.manager = self._manager(store or self.store, blocks or self.chain, 10)

    async def _claim(self, batch: Sequence[SessionSnapshot]) -> Sequence[bytes | None]:
        self.batches.append(list(batch))
        await self._called("claim", *(session.session_id for session in batch))
        return [session.session_id.encode() for session in batch] if self.roots is None else self.roots

    async def _prove(self, batch: Sequence[SessionSnapshot]) -> None:
        await self._called("prove", *(session.session_id for session in batch))

    async def _called(self, name: str, *arguments: str) -> None:
        self.bench.world.record(name, *arguments)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.held is not None:
            await self.held.wait()
        self.under_way -= 1
        if name in self.failing:
            raise ChainRefusedError("no")

    def save(self, *session_ids: str, **fields: Any) -> None:
        """Put sessions into Redis."""
        for session_id in session_ids:
            self.bench.run(self.store.save(snapshot(session_id, **fields)))
        self.bench.take_steps()

    def start(self) -> None:
        self.bench.run(self.manager.start())
        self.bench.world.settle()

    def started_with(self, *session_ids: str, **fields: Any) -> "Miner":
        """Started at a height at which nothing moves, with nothing to look back on."""
        self.save(*session_ids, **fields)
        self.start()
        self.bench.take_steps()
        assert self.bench.take_callbacks() == []
        return self

    def block(self, height: int) -> None:
        self.chain.produce(height)
        self.bench.world.settle()

    def state(self, session_id: str = "s1") -> Any:
        return self.bench.fields(session_id).get("state")


# Start.


def test_start_loads_what_is_not_finished_and_looks_at_it_once(bench: Bench) -> None:
    miner = Miner(bench, height=106)
    for state in (*TEN_STATES, "no such state"):
        miner.save(state, state=state)
    miner.start()
    assert set(miner.manager.tracked()) == {"active", "claiming", "claimed", "proving", "no such state"}
    steps = bench.take_steps()
    assert steps[0] == f"SMEMBERS {INDEX}"
    assert steps[1:12] == [f"GET {main_key(name)}" for name in sorted((*TEN_STATES, "no such state"))]
    assert steps[12:] == [
        *looking("active"),
        *moving("active", old="active", new="claiming"),
        *moving("active", old="claiming", new="claimed"),
    ], "of all of them only the active one could move at 106"
    assert bench.take_callbacks() == [("claim", "active")]
    assert (miner.chain.followers, bench.take_logs()) == (1, [])


def test_start_without_sessions_runs_no_pass_so_that_the_height_still_counts(bench: Bench) -> None:
    miner = Miner(bench, height=106).started_with()
    bench.run(miner.manager.track_session(snapshot()))
    miner.block(106)
    assert miner.state() == "claimed"


def test_start_with_sessions_runs_a_pass_so_that_the_height_is_done(bench: Bench) -> None:
    miner = Miner(bench, height=105).started_with("s1")
    miner.block(105)
    assert bench.take_steps() == []
    miner.block(106)
    assert miner.state() == "claimed"


def test_start_fails_where_the_parameters_cannot_be_loaded(bench: Bench) -> None:
    miner = Miner(bench)
    miner.save("s1")
    miner.chain.fail_parameters(ChainRefusedError("down"))
    with pytest.raises(LifecycleStartError, match="parameters could not be loaded: down") as raised:
        miner.start()
    assert isinstance(raised.value, RelayError)
    assert (bench.take_steps(), miner.manager.tracked(), miner.chain.followers) == ([], {}, 0)
    miner.chain.mend_parameters()
    miner.start()
    assert miner.manager.tracked() == {"s1": "active"}


def test_parameters_are_those_of_the_newest_height_at_the_start_and_are_kept(bench: Bench) -> None:
    late = ChainParameters(claim_open_offset=9, claim_close_offset=4, proof_open_offset=0, proof_close_offset=4)
    miner = Miner(bench)
    chain = Chain({0: PARAMETERS, 103: late}, height=102)
    miner.chain = chain
    miner.instead(blocks=chain)
    miner.started_with("s1")
    miner.block(106)
    assert miner.state() == "claimed"


@pytest.mark.parametrize("kind", ["refuse", "drop"])
def test_start_goes_on_empty_where_the_sessions_cannot_be_loaded(bench: Bench, kind: str) -> None:
    miner = Miner(bench, height=106)
    miner.save("s1")
    getattr(bench.backend, kind)("SMEMBERS")
    miner.start()
    assert bench.take_logs() == ["warning sessions_not_loaded"]
    assert (miner.manager.tracked(), miner.chain.followers) == ({}, 1)
    miner.block(107)
    assert miner.state() == "active", "nobody claims what nobody remembers"


def test_before_the_start_a_height_means_nothing(bench: Bench) -> None:
    miner = Miner(bench)
    with pytest.raises(LifecycleNotStartedError, match="height 106 cannot be processed") as raised:
        bench.run(miner.manager.process_height(106))
    assert raised.value.height == 106
    assert bench.take_steps() == []


# A pass.


@pytest.mark.parametrize("height", [105, 106, 109, 110, 113, 114, 200])
@pytest.mark.parametrize("state", [*TEN_STATES, "no such state"])
def test_where_a_session_is_after_one_pass_at_a_height(
    bench: Bench, revision: Revision, state: str, height: int
) -> None:
    miner = Miner(bench, revision=revision)
    miner.save("s1", state=state)
    miner.start()
    miner.block(height)
    reached = {
        "active": "active" if height < 106 else "claimed" if height < 110 else "claim_window_closed",
        "claiming": "claiming" if height < 110 else "claim_window_closed",
        "claimed": "claimed" if height < 110 else "proved" if height < 114 else "proof_window_closed",
        "proving": "proving" if height < 114 else "proof_window_closed",
    }.get(state, state)
    called = {
        "claimed": [("claim", "s1")],
        "proved": [("prove", "s1"), ("proved", "s1")],
    }.get(reached, [("terminal", "s1", reached)])
    assert miner.state() == reached
    assert bench.filed_under() == {reached}
    assert bench.take_callbacks() == (called if reached != state else [])
    assert miner.manager.tracked() == ({} if reached in FINAL_STATES else {"s1": reached})
    assert bench.take_logs() == []


def test_the_life_of_a_session_block_by_block(bench: Bench, revision: Revision) -> None:
    miner = Miner(bench, revision=revision).started_with("s1")
    lived = []
    for height in range(101, 116):
        miner.block(height)
        lived.append(miner.state())
    assert lived == ["active"] * 5 + ["claimed"] * 4 + ["proved"] * 6
    assert bench.take_callbacks() == [("claim", "s1"), ("prove", "s1"), ("proved", "s1")]
    assert (miner.manager.tracked(), bench.take_logs()) == ({}, [])


def test_only_strictly_increasing_heights_count(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    looked = []
    for height in (106, 106, 105, 1, 110, 109, 110, 111):
        miner.failing = {"claim", "prove"}
        miner.block(height)
        looked.append(len(bench.take_steps()) > 0)
    assert looked == [True, False, False, False, True, False, False, False]
    assert miner.state() == "claim_window_closed"


def test_a_session_that_cannot_move_is_not_looked_up(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.block(105)
    assert bench.take_steps() == []
    miner.block(106)
    assert bench.take_steps()[:1] == looking()


@pytest.mark.parametrize("change", ["deleted", "unreadable", "finished", "redis down"])
def test_a_session_that_is_gone_unreadable_or_finished_is_forgotten(bench: Bench, change: str) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    match change:
        case "deleted":
            bench.arrange("DEL", main_key("s1"))
        case "unreadable":
            bench.arrange("SET", main_key("s1"), "no json")
        case "finished":
            bench.run(bench.store().update_state("s1", "proved"))
        case _:
            bench.backend.drop("GET")
    miner.block(106)
    assert miner.manager.tracked() == {"s2": "claimed"}
    assert bench.take_callbacks() == [("claim", "s2")]
    unread = change in ("unreadable", "redis down")
    assert bench.take_logs() == (["warning session_lookup_failed"] if unread else [])


def test_the_record_decides_and_memory_only_says_whom_to_look_up(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    other = bench.store()
    bench.run(other.update_state("s1", "claimed"))
    miner.block(106)
    assert bench.take_callbacks() == [("claim", "s2")]
    assert miner.manager.tracked() == {"s1": "claimed", "s2": "claimed"}
    bench.run(other.update_state("s2", "proving"))
    miner.block(110)
    assert bench.take_callbacks() == [("prove", "s1"), ("proved", "s1")]
    assert miner.manager.tracked() == {"s2": "proving"}


def test_claims_of_one_pass_are_one_batch_and_proofs_another(bench: Bench) -> None:
    miner = Miner(bench)
    miner.save("a", "b")
    miner.save("c", "d", state="claimed", session_end_height=100)
    miner.start()
    bench.take_steps()
    miner.block(106)
    assert bench.take_callbacks() == [("claim", "a", "b"), ("prove", "c", "d"), ("proved", "c"), ("proved", "d")]
    looked = [step for name in "abcd" for step in looking(name)]
    claiming = [step for name in "ab" for step in moving(name, old="active", new="claiming")]
    beside = [
        *(step for name in "ab" for step in moving(name, old="claiming", new="claimed")),
        *(step for name in "cd" for step in moving(name, old="claimed", new="proving")),
        *(step for name in "cd" for step in moving(name, old="proving", new="proved")),
    ]
    steps = bench.take_steps()
    assert steps[: len(looked + claiming)] == [*looked, *claiming], "all are looked up before the first one moves"
    assert sorted(steps[len(looked + claiming) :]) == sorted(beside), "the claim runs beside what is left of the pass"


@pytest.mark.parametrize(("start", "height", "moved"), [("active", 106, "claimed"), ("claimed", 110, "proved")])
def test_a_session_that_cannot_be_moved_is_left_for_the_next_height(
    bench: Bench, start: str, height: int, moved: str
) -> None:
    miner = Miner(bench).started_with("s1", "s2", state=start)
    bench.backend.refuse("EXEC")
    miner.block(height)
    assert (miner.state("s1"), miner.state("s2")) == (start, moved)
    assert miner.manager.tracked()["s1"] == start
    assert bench.take_logs() == ["error session_update_failed"]
    assert bench.take_callbacks()[0][1:] == ("s2",), "the batch goes on without it"
    miner.block(height + 1)
    assert miner.state("s1") == moved


# Claims.


@pytest.mark.parametrize("roots", [[b"r1", b"r2"], [None, b""], [b"r1", None]])
def test_a_claimed_session_has_its_root_in_memory_and_not_in_redis(bench: Bench, roots: list[bytes | None]) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    miner.roots = roots
    miner.block(106)
    assert (miner.state("s1"), miner.state("s2")) == ("claimed", "claimed"), "also where there is no root"
    assert miner.manager.tracked() == {"s1": "claimed", "s2": "claimed"}
    assert [session.claimed_root_hash for session in miner.batches[0]] == [root or b"" for root in roots]
    assert not any("claimed_root_hash" in bench.fields(name) for name in ("s1", "s2"))


def test_a_claim_that_fails_leaves_its_sessions_claiming_until_the_window_closes(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    miner.failing = {"claim"}
    for height in (106, 107, 109):
        miner.block(height)
        assert miner.manager.tracked() == {"s1": "claiming", "s2": "claiming"}
    assert bench.take_callbacks() == [("claim", "s1", "s2")], "and are not claimed again"
    assert bench.take_logs() == ["error claim_failed"]
    miner.block(110)
    assert bench.take_callbacks() == [("terminal", name, "claim_window_closed") for name in ("s1", "s2")]
    assert (miner.state(), miner.manager.tracked()) == ("claim_window_closed", {})


@pytest.mark.parametrize("roots", [[], [b"r1"], [b"r1", b"r2", b"r3"]])
def test_a_claim_that_answers_for_another_number_of_sessions_has_failed(
    bench: Bench, roots: list[bytes | None]
) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    miner.roots = roots
    miner.block(106)
    assert miner.manager.tracked() == {"s1": "claiming", "s2": "claiming"}
    assert bench.take_logs() == ["error claim_answer_mismatched"]
    assert {miner.state("s1"), miner.state("s2")} == {"claiming"}


def test_a_claim_that_cannot_be_noted_stays_claiming_although_it_was_made(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    bench.backend.refuse(step=7)  # two GETs; GET and EXEC of each to enter; then the GET that follows the claim of s1
    miner.block(106)
    assert bench.take_logs() == ["error session_update_failed"]
    assert miner.manager.tracked() == {"s1": "claiming", "s2": "claimed"}
    assert [session.claimed_root_hash for session in miner.batches[0]] == [b"s1", b"s2"]
    miner.block(110)
    assert ("terminal", "s1", "claim_window_closed") in bench.take_callbacks(), "a claim on the chain is given up"


def test_a_session_tracked_anew_while_it_is_claimed_is_the_one_that_gets_the_root(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.held = asyncio.Event()
    miner.block(106)
    again = snapshot()
    bench.run(miner.manager.track_session(again))
    miner.held.set()
    bench.world.settle()
    assert (again.claimed_root_hash, again.state) == (b"s1", "claimed")
    assert miner.manager.tracked() == {"s1": "claimed"}


# Proofs.


def test_a_proof_that_fails_leaves_its_sessions_proving_until_the_window_closes(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", state="claimed")
    miner.failing = {"prove"}
    for height in (110, 111, 113):
        miner.block(height)
        assert (miner.state(), miner.manager.tracked()) == ("proving", {"s1": "proving"})
    assert bench.take_callbacks() == [("prove", "s1")]
    assert bench.take_logs() == ["error proof_failed"]
    miner.block(114)
    assert bench.take_callbacks() == [("terminal", "s1", "proof_window_closed")]
    assert (miner.state(), miner.manager.tracked()) == ("proof_window_closed", {})


def test_a_proved_session_is_moved_then_told_then_forgotten(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", state="claimed")
    miner.block(110)
    assert bench.take_steps() == [
        *looking(),
        *moving(old="claimed", new="proving"),
        *moving(old="proving", new="proved"),
    ]
    assert bench.take_callbacks() == [("prove", "s1"), ("proved", "s1")]
    assert (miner.manager.tracked(), bench.take_logs()) == ({}, [])


def test_a_proof_that_cannot_be_noted_is_told_and_forgotten_all_the_same(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2", state="claimed")
    bench.backend.refuse(step=7)  # two GETs; GET and EXEC of each to enter; then the GET that follows the proof of s1
    miner.block(110)
    assert bench.take_logs() == ["error session_update_failed"]
    assert bench.take_callbacks() == [("prove", "s1", "s2"), ("proved", "s1"), ("proved", "s2")]
    assert (miner.state("s1"), miner.state("s2")) == ("proving", "proved")
    assert miner.manager.tracked() == {}
    miner.block(114)
    assert miner.state("s1") == "proving", "nobody looks at it again until a restart"


def test_an_error_of_the_proved_callback_is_a_warning(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2", state="claimed")
    miner.failing = {"proved"}
    miner.block(110)
    assert bench.take_logs() == ["warning proved_callback_failed"] * 2
    assert ({miner.state("s1"), miner.state("s2")}, miner.manager.tracked()) == ({"proved"}, {})


# Giving up.


def test_a_session_given_up_is_told_then_moved_then_forgotten(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.held = asyncio.Event()
    miner.block(110)
    assert bench.take_callbacks() == [("terminal", "s1", "claim_window_closed")]
    assert bench.take_steps() == looking(), "told first"
    miner.held.set()
    bench.world.settle()
    assert bench.take_steps() == moving(old="active", new="claim_window_closed")
    assert (miner.manager.tracked(), bench.take_logs()) == ({}, [])


def test_an_error_of_the_terminal_callback_is_a_warning(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.failing = {"terminal"}
    miner.block(110)
    assert bench.take_logs() == ["warning terminal_callback_failed"]
    assert (miner.state(), miner.manager.tracked()) == ("claim_window_closed", {})


def test_a_session_that_cannot_be_given_up_stays_in_memory_and_is_told_again(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    bench.backend.drop("EXEC")
    miner.block(110)
    assert bench.take_logs() == ["error session_update_failed"]
    assert (miner.state(), miner.manager.tracked()) == ("active", {"s1": "active"})
    miner.block(111)
    assert (miner.state(), miner.manager.tracked()) == ("claim_window_closed", {})
    assert bench.take_callbacks() == [("terminal", "s1", "claim_window_closed")] * 2


@pytest.mark.parametrize("size", [1, 3, 9])
def test_terminal_moves_run_each_alone_and_at_most_so_many_at_once(bench: Bench, size: int) -> None:
    names = [f"s{number}" for number in range(6)]
    miner = Miner(bench, size=size).started_with(*names)
    miner.held = asyncio.Event()
    miner.block(110)
    assert miner.under_way == min(size, 6)
    miner.held.set()
    bench.world.settle()
    assert miner.most_under_way == min(size, 6)
    assert sorted(bench.take_callbacks()) == [("terminal", name, "claim_window_closed") for name in names]
    assert miner.manager.tracked() == {}


def test_a_claim_takes_one_place_in_the_pool_however_many_sessions_it_has(bench: Bench) -> None:
    miner = Miner(bench, size=2)
    miner.save("a", "b", "c")
    miner.save("late", session_end_height=90)
    miner.start()
    miner.held = asyncio.Event()
    miner.block(106)
    assert miner.under_way == 1
    assert bench.take_callbacks() == [("terminal", "late", "claim_window_closed"), ("claim", "a", "b", "c")]


# Tracking.


def test_a_tracked_session_is_in_memory_and_saved(bench: Bench, revision: Revision) -> None:
    miner = Miner(bench, revision=revision).started_with()
    bench.run(miner.manager.track_session(snapshot()))
    assert miner.manager.tracked() == {"s1": "active"}
    assert (miner.state(), bench.filed_under(), bench.members(INDEX)) == ("active", {"active"}, {"s1"})
    assert revision is not AS_IS or bench.take_steps() == saving()


def test_a_session_that_cannot_be_saved_stays_in_memory_until_it_is_looked_up(bench: Bench) -> None:
    miner = Miner(bench).started_with()
    bench.backend.refuse("EXEC")
    with pytest.raises(SessionStoreError, match="save of session s1 failed"):
        bench.run(miner.manager.track_session(snapshot()))
    assert miner.manager.tracked() == {"s1": "active"}
    miner.block(106)
    assert (miner.manager.tracked(), bench.take_callbacks()) == ({}, [])


def test_a_coordinators_sessions_are_tracked_claimed_and_proved(bench: Bench, revision: Revision) -> None:
    """The two as production has them: the created callback tracks, the proved callback tells the coordinator."""
    miner = Miner(bench, revision=revision).started_with()
    coordinator = bench.coordinator(revision, store=miner.store)
    coordinator.set_on_session_created_callback(miner.manager.track_session)
    bench.run(coordinator.on_relay_processed("s1", 5, "sup1", "svc", "app", 101, 104))
    assert miner.manager.tracked() == {"s1": "active"}
    assert bench.fields()["relay_count"] == 1
    for height in (106, 110):
        miner.block(height)
    assert bench.fields()["relay_count"] == 1
    assert (miner.state(), miner.manager.tracked()) == ("proved", {})


# Close, and the block loop.


def test_a_closed_manager_refuses_everything(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    assert miner.manager.closed is False

    async def closing() -> tuple[int, int]:
        await miner.manager.close()
        return miner.chain.followers, bench.tasks_alive()

    assert bench.run(closing()) == (0, 1), "close waits for the end of its loop: only the caller's own task is left"
    bench.run(miner.manager.close())
    assert (miner.manager.closed, miner.chain.followers, bench.tasks_alive()) == (True, 0, 0)
    works = [miner.manager.start(), miner.manager.track_session(snapshot("s2")), miner.manager.process_height(106)]
    for work in works:
        with pytest.raises(LifecycleClosedError, match=r"^lifecycle manager is closed$"):
            bench.run(work)
    miner.block(106)
    assert (bench.take_steps(), bench.take_callbacks(), bench.take_logs()) == ([], [], [])
    assert miner.manager.tracked() == {"s1": "active"}


def test_a_manager_that_was_never_started_can_be_closed(bench: Bench) -> None:
    miner = Miner(bench)
    bench.run(miner.manager.close())
    assert miner.manager.closed is True


def test_close_waits_for_what_is_under_way(bench: Bench) -> None:
    miner = Miner(bench, size=1).started_with("s1", "s2", state="claimed")
    miner.save("s3", session_end_height=90)
    bench.run(miner.manager.track_session(snapshot("s3", session_end_height=90)))
    miner.held = asyncio.Event()
    miner.block(110)
    closing = bench.world.loop.start(miner.manager.close(), ("client", 2))
    bench.world.settle()
    assert (closing.done(), miner.under_way, miner.chain.followers) == (False, 1, 0)
    miner.held.set()
    bench.world.settle()
    assert closing.done()
    assert (miner.state("s1"), miner.state("s2"), miner.state("s3")) == ("proved", "proved", "claim_window_closed")
    assert (miner.manager.tracked(), bench.tasks_alive()) == ({}, 0)


def test_drain_waits_for_what_a_pass_has_begun(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")

    async def story() -> str:
        await miner.manager.process_height(106)
        before = miner.manager.tracked()["s1"]
        await miner.manager.drain()
        return before

    assert bench.run(story()) == "claiming", "a pass returns while its tasks are under way"
    assert miner.manager.tracked() == {"s1": "claimed"}


def test_close_in_the_midst_of_a_pass_leaves_the_rest_of_it_undone(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1", "s2")
    miner.chain.produce(106)
    bench.world.loop.run_ready()
    assert len(bench.world.gate.parked) == 1, "the pass looks s1 up"
    bench.run(miner.manager.close())
    assert (miner.state("s1"), miner.state("s2"), bench.take_callbacks()) == ("active", "active", [])
    assert (bench.tasks_alive(), bench.take_logs()) == (0, [])


def test_a_pass_that_a_cancellation_does_not_reach_is_the_last_one(bench: Bench) -> None:
    """Before Python 3.12 ``asyncio.wait_for`` swallows a cancellation that meets an answer."""

    class Unhearing(SessionStore):
        async def get(self, session_id: str) -> SessionSnapshot | None:
            try:
                return await super().get(session_id)
            except asyncio.CancelledError:
                return None

    miner = Miner(bench)
    miner.instead(store=bench.store_of(Unhearing))
    miner.started_with("s1")
    miner.chain.produce(106)
    miner.chain.produce(107)
    bench.world.loop.run_ready()
    bench.run(miner.manager.close())
    assert (bench.tasks_alive(), miner.chain.followers, bench.take_logs()) == (0, 0, [])
    assert miner.manager.tracked() == {}, "106 was gone through to its end, 107 was not"


def test_a_second_start_follows_the_chain_twice_and_claims_once(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.start()
    assert miner.chain.followers == 2
    miner.block(106)
    assert bench.take_callbacks() == [("claim", "s1")]
    bench.run(miner.manager.close())
    assert (miner.chain.followers, bench.tasks_alive()) == (0, 0)


def test_the_loop_ends_with_its_chain_and_says_so(bench: Bench) -> None:
    miner = Miner(bench).started_with("s1")
    miner.chain.produce(106)
    miner.chain.end()
    bench.world.settle()
    assert bench.take_logs() == ["warning block_source_ended"]
    assert miner.state() == "claimed"
    bench.run(miner.manager.close())
    assert bench.tasks_alive() == 0


class TornChain(Chain[ChainParameters]):
    """Loses its connection after one block."""

    async def blocks(self) -> AsyncIterator[int]:
        yield 106
        raise ChainRefusedError("connection lost")


def test_the_loop_ends_with_an_error_and_says_so(bench: Bench) -> None:
    miner = Miner(bench)
    miner.instead(blocks=TornChain({0: PARAMETERS}, height=100))
    miner.started_with("s1", state="claimed")
    assert bench.take_logs() == ["error block_loop_failed"]
    bench.run(miner.manager.process_height(110))
    bench.world.settle()
    assert miner.state() == "proved", "what is called by hand goes on"


def test_at_most_ten_transitions_at_once_by_default() -> None:
    assert LifecycleConfig().max_concurrent_transitions == 10
