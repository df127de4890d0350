"""The relay core: four services as they are, and three of them as they were refactored.

A subject of the coordinator or the lifecycle manager has the real store beneath it. Words for keys are the same for both
revisions, so that they can be compared in the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from characterization.subject import Bounds, Run, Subject, cap, drop, law, operation, seconds, small
from engine.relay.coordinator import SessionCoordinator
from engine.relay.deduplicator import Deduplicator, DeduplicatorConfig
from engine.relay.interfaces import RelayDeduplication, SessionStorage
from engine.relay.lifecycle import LifecycleConfig, LifecycleManager
from engine.relay.metrics import DeduplicatorMetrics
from engine.relay.refactored.coordinator import GuardedSessionCoordinator
from engine.relay.refactored.deduplicator import UncachedDeduplicator
from engine.relay.refactored.store import HashSessionStore
from engine.relay.session import SessionSnapshot
from engine.relay.store import SessionStore, StoreConfig
from engine.relay.windows import ChainParameters
from simulator.chain import Chain

if TYPE_CHECKING:
    from characterization.state import State
    from simulator.world import World

SUPPLIER = "sup1"
SESSION_KEYS = {
    f"ha:miner:sessions:{SUPPLIER}:index": "index",
    f"ha:miner:sessions:{SUPPLIER}:state:{{state}}": "state:{state}",
    f"ha:miner:sessions:{SUPPLIER}:{{session}}": "main({session})",
}
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
UNITS = st.integers(min_value=0, max_value=2**31)


def session_words(state: State) -> str:
    """A state of the store by its session: ``a claimed session``, or ``no session``."""
    record = state.get("main(s1)")
    if not isinstance(record, dict):
        return "no session"
    name = str(record.get("state"))
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name} session"


# The deduplicator.


class Dedup(Subject):
    """Remembers which relays were already counted: in Redis, and in a cache of each process."""

    name = "relay.dedup"
    horizons = (seconds(300),)
    final = ("close",)
    replicas = 2
    keys: ClassVar = {"ha:miner:dedup:session:{session}": "seen({session})"}
    litmus = (
        "{ mark_processed r1 s1 || mark_processed r1 s1 @2 || cleanup_session s1 @3 }",
        "mark_processed r1 s1 ; { is_duplicate r1 s1 @2 || mark_processed_batch both s1 || clock +300.001s }",
    )

    def replica(self, world: World) -> RelayDeduplication:
        return Deduplicator(world.redis(), config=self.config, metrics=self.metrics(world))

    config = DeduplicatorConfig(local_cache_size=1)

    def metrics(self, world: World) -> DeduplicatorMetrics:
        """Metrics in a registry of their own, which ``world`` watches."""
        registry = CollectorRegistry()
        world.watch(registry)
        return DeduplicatorMetrics.register(registry)

    def local(self, replica: Any) -> Any:
        return {"cache": replica.local_entries(), "closed": replica.closed}

    def kind(self, state: State) -> str:
        seen = state.get("seen(s1)")
        return "no relays" if seen is None else f"{len(seen)} relay{'s' * (len(seen) > 1)} seen"

    @operation(relay=small("r1", "r2", wide=st.binary(max_size=32)), session=small("s1", wide=IDS))
    async def is_duplicate(self, dedup: RelayDeduplication, relay: Any, session: str) -> bool:
        return await dedup.is_duplicate(_hash(relay), session)

    @operation(relay=small("r1", wide=st.binary(max_size=32)), session=small("s1", wide=IDS))
    async def mark_processed(self, dedup: RelayDeduplication, relay: Any, session: str) -> bool | None:
        return await dedup.mark_processed(_hash(relay), session)

    @operation(
        relays=small(none=(), both=("r1", "r2"), twice=("r2", "r2"), wide=st.lists(st.binary(max_size=32), max_size=5)),
        session=small("s1", wide=IDS),
    )
    async def mark_processed_batch(self, dedup: RelayDeduplication, relays: Sequence[Any], session: str) -> None:
        await dedup.mark_processed_batch([_hash(relay) for relay in relays], session)

    @operation(session=small("s1", wide=IDS))
    async def cleanup_session(self, dedup: RelayDeduplication, session: str) -> None:
        await dedup.cleanup_session(session)

    @operation()
    async def start(self, dedup: RelayDeduplication) -> None:
        await dedup.start()

    @operation()
    async def close(self, dedup: RelayDeduplication) -> None:
        await dedup.close()

    @law
    def a_marked_relay_is_a_duplicate(self, run: Run) -> None:
        """Whoever marked it: a relay that is counted twice is fraud."""
        if run.program.split(" ; ")[-1].startswith("is_duplicate r1") and "seen(s1)" in run.before:
            assert ("b1" in run.before.get("seen(s1)")) <= (run.answer == "True")

    @law
    def what_is_remembered_is_forgotten_in_time(self, run: Run) -> None:
        """Every key has a time to live, or Redis fills up."""
        assert all(run.after[word].ttl != "none" for word in run.after.words() if word.startswith("seen("))


class DedupRefactored(Dedup):
    """The same after the refactor: without a cache, and with an answer that says whether the relay was new."""

    name = "relay.dedup_refactored"

    def replica(self, world: World) -> RelayDeduplication:
        return UncachedDeduplicator(world.redis(), config=self.config, metrics=self.metrics(world))

    def local(self, replica: Any) -> Any:
        return {"closed": replica.closed}


def _hash(relay: Any) -> bytes:
    """Two hashes that are short to read: ``b1`` and ``b2`` in hexadecimal. A drawn one is itself."""
    return {"r1": b"\xb1", "r2": b"\xb2"}[relay] if isinstance(relay, str) else relay


# The session store.


def snapshot(session: str, **fields: Any) -> SessionSnapshot:
    """A snapshot as a caller would make it, all of whose own fields are set."""
    return SessionSnapshot(
        session_id=session, supplier_operator_address=SUPPLIER, service_id="svc", application_address="app",
        session_start_height=101, session_end_height=104, **fields,
    )  # fmt: skip


SNAPSHOTS: dict[str, Any] = {
    "s1": {"session": "s1"},
    "s1-claimed": {"session": "s1", "state": "claimed", "claimed_root_hash": b"root", "claim_tx_hash": "tx1"},
    "s2": {"session": "s2"},
}


class Store(Subject):
    """Keeps the sessions of one supplier in Redis, and sets of their ids by supplier and by state."""

    name = "relay.store"
    horizons = (seconds(7200),)
    final = ("close",)
    keys: ClassVar = SESSION_KEYS
    abstractions = (
        cap("main(*).relay_count", 1),
        drop("main(*).total_compute_units"),
        drop("main(*).last_updated_at"),
        drop("main(*).created_at"),
        drop("main(*).settlement_*"),
    )
    remembers = ("close",)
    litmus = (
        "save s1 ; { increment_relay_count s1 5 || increment_relay_count s1 5 @2 || increment_relay_count s1 5 @3 }",
        "save s1 ; { increment_relay_count s1 5 ; increment_relay_count s1 5 || update_state s1 claimed @2 }",
        "save s1 ; { increment_relay_count s1 5 || clock +7200.001s }",  # the session expires while a relay is counted
    )

    def replica(self, world: World) -> SessionStorage:
        return SessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)

    def local(self, replica: Any) -> Any:
        return {"closed": replica.closed}

    def kind(self, state: State) -> str:
        return session_words(state)

    @operation(snapshot=small(**SNAPSHOTS))
    async def save(self, store: SessionStorage, snapshot: dict[str, Any]) -> None:
        await store.save(_made(snapshot))

    @operation(session=small("s1", wide=IDS))
    async def get(self, store: SessionStorage, session: str) -> SessionSnapshot | None:
        return await store.get(session)

    @operation()
    async def get_by_supplier(self, store: SessionStorage) -> list[SessionSnapshot] | None:
        return await store.get_by_supplier()

    @operation(state=small("active", "claimed", wide=IDS))
    async def get_by_state(self, store: SessionStorage, state: str) -> list[SessionSnapshot] | None:
        return await store.get_by_state(state)

    @operation(session=small("s1", wide=IDS))
    async def delete(self, store: SessionStorage, session: str) -> None:
        await store.delete(session)

    @operation(session=small("s1", wide=IDS), state=small("active", "claimed", "proved", "unheard_of", wide=IDS))
    async def update_state(self, store: SessionStorage, session: str, state: str) -> None:
        await store.update_state(session, state)

    @operation(session=small("s1", wide=IDS))
    async def update_settlement_metadata(self, store: SessionStorage, session: str) -> None:
        await store.update_settlement_metadata(session, "settled", 120, "tx9")

    @operation(session=small("s1", wide=IDS), entry=small("e1", wide=IDS))
    async def update_wal_position(self, store: SessionStorage, session: str, entry: str) -> None:
        await store.update_wal_position(session, entry)

    @operation(session=small("s1", wide=IDS), units=small(5, wide=UNITS))
    async def increment_relay_count(self, store: SessionStorage, session: str, units: int) -> None:
        await store.increment_relay_count(session, units)

    @operation()
    async def close(self, store: SessionStorage) -> None:
        await store.close()

    @law
    def an_id_is_in_exactly_one_state_index(self, run: Run) -> None:
        """That of its stored state; otherwise the lifecycle sees it twice, or never."""
        for word in run.after.words():
            if word.startswith("main("):
                session, stored = word[5:-1], run.after.get(word).get("state")
                holding = [
                    key for key in run.after.words() if key.startswith("state:") and session in run.after.get(key)
                ]
                assert holding == [f"state:{stored}"]

    @law
    def a_terminal_session_counts_no_relays(self, run: Run) -> None:
        """What was settled is settled."""
        if run.before.get("main(s1)") and run.before.get("main(s1)").get("state") == "proved":
            counted = run.after.get("main(s1)") or run.before.get("main(s1)")
            assert counted["relay_count"] <= run.before.get("main(s1)")["relay_count"]


class StoreRefactored(Store):
    """The same after the refactor: a hash for each session, scripts for what must happen at once."""

    name = "relay.store_refactored"

    def replica(self, world: World) -> SessionStorage:
        return HashSessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)


def _made(fields: dict[str, Any]) -> SessionSnapshot:
    return snapshot(fields["session"], **{name: value for name, value in fields.items() if name != "session"})


# The session coordinator.


class Coordinator(Subject):
    """Turns what happens to a session into changes of its record, and tells whoever asked to be told."""

    name = "relay.coordinator"
    horizons = (seconds(7200),)
    final = ("close",)
    keys: ClassVar = SESSION_KEYS
    abstractions: ClassVar = (*Store.abstractions, drop("main(*).proof_tx_hash"), drop("main(*).relay_count"))
    remembers = ("close",)
    litmus = (  # the consumer of relays, beside the workers that claim and prove; and two processes of a contested lease
        "on_relay_processed s1 sup1 ; { on_relay_processed s1 sup1 || on_session_claimed s1 ; on_proof_submitted s1 }",
        "{ on_relay_processed s1 sup1 ; on_relay_processed s1 sup1 || on_relay_processed s1 sup1 @2 }",
    )

    def replica(self, world: World) -> SessionCoordinator:
        store = SessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)
        return self.told(world, SessionCoordinator(store, supplier=SUPPLIER))

    @staticmethod
    def told(world: World, coordinator: SessionCoordinator) -> SessionCoordinator:
        """``coordinator`` with its callbacks recorded."""
        coordinator.set_on_session_created_callback(world.callback("created"))
        coordinator.set_on_session_terminal_callback(world.callback("terminal"))
        return coordinator

    def local(self, replica: Any) -> Any:
        return {"closed": replica.closed}

    def kind(self, state: State) -> str:
        return session_words(state)

    @operation(session=small("s1", wide=IDS), supplier=small(SUPPLIER, none=""))
    async def on_relay_processed(self, coordinator: SessionCoordinator, session: str, supplier: str) -> None:
        await coordinator.on_relay_processed(session, 5, supplier, "svc", "app", 101, 104)

    @operation(session=small("s1", wide=IDS))
    async def on_session_created(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_session_created(session, SUPPLIER, "svc", "app", 101, 104)

    @operation(session=small("s1", wide=IDS))
    async def on_session_claimed(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_session_claimed(session, b"root", "tx1")

    @operation(session=small("s1", wide=IDS))
    async def on_proof_submitted(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_proof_submitted(session, "tx2")

    @operation(session=small("s1", wide=IDS))
    async def on_session_proved(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_session_proved(session)

    @operation(session=small("s1", wide=IDS))
    async def on_claim_window_closed(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_claim_window_closed(session)

    @operation(session=small("s1", wide=IDS))
    async def on_claim_tx_error(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_claim_tx_error(session)

    @operation(session=small("s1", wide=IDS))
    async def on_proof_window_closed(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_proof_window_closed(session)

    @operation(session=small("s1", wide=IDS))
    async def on_proof_tx_error(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_proof_tx_error(session)

    @operation(session=small("s1", wide=IDS))
    async def on_probabilistic_proved(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_probabilistic_proved(session)

    @operation()
    async def close(self, coordinator: SessionCoordinator) -> None:
        await coordinator.close()

    @law
    def a_transaction_hash_never_disappears(self, run: Run) -> None:
        """It is the only way to find the claim on the chain again."""
        before, after = run.before.get("main(s1)"), run.after.get("main(s1)")
        if before and after:
            assert not before.get("claim_tx_hash") or after.get("claim_tx_hash")


class CoordinatorRefactored(Coordinator):
    """The same after the refactor: of several creators one wins, and a late error does not undo a success."""

    name = "relay.coordinator_refactored"

    def replica(self, world: World) -> SessionCoordinator:
        store = HashSessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)
        return self.told(world, GuardedSessionCoordinator(store, supplier=SUPPLIER))


# The lifecycle manager.

PARAMETERS = ChainParameters(claim_open_offset=1, claim_close_offset=4, proof_open_offset=0, proof_close_offset=4)


class ClaimFailedError(Exception):
    """The chain refused a claim or a proof."""


@dataclass(slots=True)
class Miner:
    """A lifecycle manager with a store, a chain, and a chain's answers to claims and proofs as the program sets them."""

    manager: LifecycleManager
    store: SessionStorage
    chain: Chain[ChainParameters]
    answers: str = "good"


class Lifecycle(Subject):
    """Looks at every unfinished session at each new height, and has it claimed, proved or given up in time."""

    name = "relay.lifecycle"
    horizons = (seconds(7200),)
    final = ("close",)
    keys: ClassVar = SESSION_KEYS
    abstractions: ClassVar = (
        drop("main(*).last_updated_at"),
        drop("main(*).created_at"),
        cap("memory.followers", 1),  # `start` is not guarded: a second one is tried, but not followed further
    )
    bounds = Bounds(moves=1)

    def replica(self, world: World) -> Miner:
        store = SessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)
        chain = Chain({0: PARAMETERS}, height=100)
        manager = LifecycleManager(
            store,
            blocks=chain,
            on_claim=world.callback("claim", lambda batch: self._answer(miner, [b"root" for _ in batch])),
            on_proof=world.callback("prove", lambda batch: self._answer(miner, batch)),
            on_session_proved=world.callback("proved"),
            on_terminal=world.callback("terminal"),
            config=LifecycleConfig(),
        )
        miner = Miner(manager, store, chain)
        return miner

    @staticmethod
    def _answer(miner: Miner, good: Any) -> Any:
        if miner.answers == "bad":
            raise ClaimFailedError("refused by the chain")
        return good

    def local(self, replica: Any) -> Any:
        return {
            "tracked": replica.manager.tracked(),
            "closed": replica.manager.closed,
            "followers": replica.chain.followers,
            "height": replica.chain.height,
            "answers": replica.answers,
        }

    def kind(self, state: State) -> str:
        memory = state.get("memory")
        tracked = ", ".join(f"tracked as {was}" for was in memory["tracked"].values()) or "not tracked"
        return f"{session_words(state)}, {tracked}"

    @operation()
    async def start(self, miner: Miner) -> None:
        await miner.manager.start()

    @operation(session=small("s1", wide=IDS))
    async def track_session(self, miner: Miner, session: str) -> None:
        await miner.manager.track_session(snapshot(session))

    @operation(height=small(106, 110, 114, wide=st.integers(min_value=0, max_value=200)))
    async def block(self, miner: Miner, height: int) -> None:
        """A new block; whoever follows the chain sees it."""
        miner.chain.produce(height)

    @operation(answers=small("good", "bad"))
    async def chain_answers(self, miner: Miner, answers: str) -> None:
        """From now on the chain answers claims and proofs this way."""
        miner.answers = answers

    @operation(session=small("s1", wide=IDS), state=small("claimed", "proved"))
    async def another_process_moves(self, miner: Miner, session: str, state: str) -> None:
        """Another process changes the session's record."""
        await miner.store.update_state(session, state)

    @operation(session=small("s1", wide=IDS))
    async def another_process_deletes(self, miner: Miner, session: str) -> None:
        """Another process deletes the session's record."""
        await miner.store.delete(session)

    @operation()
    async def close(self, miner: Miner) -> None:
        await miner.manager.close()
