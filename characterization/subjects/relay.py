"""The relay core: four services as they are, and three of them as they were refactored.

A subject of the coordinator or the lifecycle manager has the real store beneath it. Words for keys are the same for both
revisions, so that they can be compared in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from characterization.outcome import CRASHED, ENDLESS
from characterization.program import WIDE, wide_value
from characterization.state import text_of
from characterization.subject import Answered, Bounds, Run, cap, drop, law, operation, seconds, small
from characterization.subjects.relay_laws import (
    TERMINAL,
    Closing,
    Counting,
    Expiring,
    Record,
    TellingOfBeginnings,
    TellingOfEnds,
    counters,
    created,
    records,
    told_terminal,
)
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


class Dedup(Expiring, Closing):
    """Remembers which relays were already counted: in Redis, and in a cache of each process."""

    name = "relay.dedup"
    horizons = (seconds(300),)
    final = ("close",)
    replicas = 2
    ttl_s = 300
    keys: ClassVar = {"ha:miner:dedup:session:{session}": "seen({session})"}
    litmus = (
        "{ mark_processed r1 s1 || mark_processed r1 s1 @2 || cleanup_session s1 @3 }",
        "mark_processed r1 s1 ; { is_duplicate r1 s1 @2 || mark_processed_batch both s1 || clock +300.001s }",
        "start ; start ; { close || close }",  # a second start is not guarded
        "start ; { start @2 || close }",
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

    @operation(session=small("s1", "s2", wide=IDS))
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
        run.assume(not run.tampered)
        asked = [call for call in run.calls if call.operation == "is_duplicate" and call.acknowledged]
        asked = [call for call in asked if not self.forgets(run, call.labels[1])]
        known = [call for call in asked if relay_of(call) in self.remembered(run.before, call.labels[1])]
        run.assume(known)
        for call in known:
            assert call.answer == "True", f"{call.labels[0]} is remembered, and the answer is {call.answer}"

    @law
    def only_a_marked_relay_is_a_duplicate(self, run: Run) -> None:
        """A relay that is taken for another is never paid."""
        run.assume(not run.tampered)
        asked = [call for call in run.calls if call.operation == "is_duplicate" and call.acknowledged]
        known = {session: self.remembered(run.before, session) for session in {call.labels[1] for call in asked}}
        marks = {(relay, call.labels[1]) for call in run.calls for relay in marked(call)}
        about = [(call, relay_of(call), call.labels[1]) for call in asked]
        asked = [
            call for call, relay, session in about if relay not in known[session] and (relay, session) not in marks
        ]
        run.assume(asked)
        for call in asked:
            said = f"{call.labels[0]} is not remembered, and replica {call.replica} takes it for a duplicate"
            assert call.answer == "False", said

    @law
    def an_acknowledged_mark_is_remembered(self, run: Run) -> None:
        """Otherwise the next delivery of the relay is counted once more."""
        run.assume(not run.tampered)
        sessions = {*seen(run.before), *(call.labels[1] for call in run.calls if marked(call))}
        wanted = {session: self._to_remember(run, session) for session in sorted(sessions)}
        run.assume(any(wanted.values()))
        for session, relays in wanted.items():
            lost = sorted(relays - self.remembered(run.after, session))
            assert not lost, f"{' and '.join(lost)} is to be remembered in {session}, and is not"

    def _to_remember(self, run: Run, session: str) -> frozenset[str]:
        """The relays of ``session`` that were remembered, or were acknowledged in the step, unless it is forgotten."""
        if self.forgets(run, session):
            return frozenset()
        marks = [call for call in run.calls if call.acknowledged and marked(call) and call.labels[1] == session]
        return self.remembered(run.before, session).union(*map(marked, marks))

    @law
    def of_those_who_mark_a_relay_one_is_told_first(self, run: Run) -> None:
        """Who is told so counts the relay: if two are, it is counted twice; if none is, never."""
        run.assume(not run.tampered)
        marks = [call for call in run.calls if call.operation == "mark_processed"]
        marks = [call for call in marks if not self.forgets(run, call.labels[1])]
        run.assume(any(call.answer in ("True", "False") for call in marks))
        for relay, session in sorted({(relay_of(call), call.labels[1]) for call in marks}):
            alike = [call for call in run.calls if relay in marked(call) and call.labels[1] == session]
            first = sum(call.answer == "True" for call in alike)
            at_most = int(relay not in self.remembered(run.before, session))
            said = f"{len(alike)} mark {relay}, {first} of them are told that they were first"
            assert first == at_most or (_nobody_knows(alike) and first < at_most), said

    @law
    def cleanup_affects_one_session(self, run: Run) -> None:
        """Sessions end at different times, and what others remember is still needed."""
        run.assume(not run.tampered)
        cleaned = {call.labels[0] for call in run.calls if call.operation == "cleanup_session"}
        others = [session for session in seen(run.before) if not self.forgets(run, session)]
        run.assume(cleaned and others)
        said = f"cleaned was {' and '.join(sorted(cleaned))}"
        for session in others:
            lost = self.remembered(run.before, session) - self.remembered(run.after, session)
            assert not lost, f"{said}, and seen({session}) lost {' and '.join(sorted(lost))}"
        crashed = {call.replica for call in run.calls if call.answer in (CRASHED, ENDLESS)}
        for word in [word for word in run.before.words() if word.startswith("memory")]:
            if int(word.partition("@")[2] or 1) in crashed:
                continue  # its memory went with it
            for session, kept in (run.before.get(word).get("cache") or {}).items():
                known = (run.after.get(word).get("cache") or {}).get(session, frozenset())
                assert session in cleaned or kept <= known, f"{said}, and {word} lost what it had of {session}"

    def forgets(self, run: Run, session: str) -> bool:
        """Whether the session may be forgotten while the step is under way: it is cleaned up, or it expires."""
        cleaned = any(call.operation == "cleanup_session" and call.labels[0] == session for call in run.calls)
        return cleaned or self.expires(run, f"seen({session})")

    def remembered(self, state: State, session: str) -> frozenset[str]:
        """The relays that Redis remembers of a session, by their labels."""
        return frozenset(told(self.hash_in(member)) for member in state.get(f"seen({session})") or ())

    def hash_in(self, member: str) -> bytes:
        """The hash that a member of a set stands for: its digits, in hexadecimal."""
        return bytes.fromhex(member) if _HEXADECIMAL.fullmatch(member) else member.encode()


class DedupRefactored(Dedup):
    """The same after the refactor: without a cache, and with an answer that says whether the relay was new."""

    name = "relay.dedup_refactored"

    def replica(self, world: World) -> RelayDeduplication:
        return UncachedDeduplicator(world.redis(), config=self.config, metrics=self.metrics(world))

    def local(self, replica: Any) -> Any:
        return {"closed": replica.closed}

    def hash_in(self, member: str) -> bytes:
        """The hash that a member of a set is, which is shown by its digits only if it is no text."""
        digits = member.removeprefix("0x")
        shown = bytes.fromhex(digits) if digits != member and _HEXADECIMAL.fullmatch(digits) else b""
        return shown if text_of(shown) == member else member.encode()


_HEXADECIMAL = re.compile("(?:[0-9a-f]{2})*")


def _hash(relay: Any) -> bytes:
    """Two hashes that are short to read: ``b1`` and ``b2`` in hexadecimal. A drawn one is itself."""
    return {"r1": b"\xb1", "r2": b"\xb2"}[relay] if isinstance(relay, str) else relay


_RELAYS: dict[str, frozenset[str]] = {
    "none": frozenset(), "both": frozenset({"r1", "r2"}), "twice": frozenset({"r2"}),
}  # fmt: skip


def marked(call: Answered) -> frozenset[str]:
    """The relays that a call marks, by their labels."""
    if call.operation == "mark_processed":
        return frozenset([relay_of(call)])
    if call.operation != "mark_processed_batch":
        return frozenset()
    drawn = call.labels[0].startswith(WIDE)
    return frozenset(map(told, wide_value(call.labels[0]))) if drawn else _RELAYS[call.labels[0]]


def relay_of(call: Answered) -> str:
    """The one relay that a call is about, by its label."""
    label = call.labels[0]
    return told(bytes.fromhex(label[2:])) if label.startswith("0x") else label


def told(relay: bytes) -> str:
    """A hash by its label, or as laws are told it."""
    return {b"\xb1": "r1", b"\xb2": "r2"}.get(relay, f"0x{relay.hex()}")


def seen(state: State) -> list[str]:
    """The sessions of which Redis remembers relays."""
    return [word[5:-1] for word in state.words() if word.startswith("seen(")]


def _nobody_knows(marks: Sequence[Answered]) -> bool:
    """Whether somebody may have been first who was not told: in a batch, or in doubt, and not told when asking again."""
    if any(call.again and call.acknowledged for call in marks):
        return False
    return any(call.in_doubt or call.operation != "mark_processed" for call in marks)


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
SETTLED: dict[str, Any] = {"settlement_outcome": "settled", "settlement_height": 120, "settlement_tx_hash": "tx9"}


class Store(Counting):
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
        await store.update_settlement_metadata(session, *SETTLED.values())

    @operation(session=small("s1", wide=IDS), entry=small("e1", wide=IDS))
    async def update_wal_position(self, store: SessionStorage, session: str, entry: str) -> None:
        await store.update_wal_position(session, entry)

    @operation(session=small("s1", wide=IDS), units=small(5, wide=UNITS))
    async def increment_relay_count(self, store: SessionStorage, session: str, units: int) -> None:
        await store.increment_relay_count(session, units)

    @operation()
    async def close(self, store: SessionStorage) -> None:
        await store.close()

    def versions(self, call: Answered, old: Record | None) -> list[Record | None]:
        if call.operation == "save":
            fields = {name: value for name, value in SNAPSHOTS[call.labels[0]].items() if name != "session"}
            return [{**created(self.session_of(call), **fields), **counters(old)}]
        if call.operation == "delete":
            return [None]
        if old is None:
            return []
        match call.operation:
            case "increment_relay_count":
                return [_one_more(old, int(call.labels[1]))]
            case "update_wal_position":
                return [{**old, "last_wal_entry_id": call.labels[1]}]
            case "update_settlement_metadata":
                return [{**old, **SETTLED}]
        return super().versions(call, old)


class StoreRefactored(Store):
    """The same after the refactor: a hash for each session, scripts for what must happen at once."""

    name = "relay.store_refactored"

    def replica(self, world: World) -> SessionStorage:
        return HashSessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)


def _one_more(record: Record, units: int = 5) -> Record:
    """A record in which one more relay is counted."""
    units += record.get("total_compute_units", 0)
    return {**record, "relay_count": record.get("relay_count", 0) + 1, "total_compute_units": units}


def _made(fields: dict[str, Any]) -> SessionSnapshot:
    return snapshot(fields["session"], **{name: value for name, value in fields.items() if name != "session"})


# The session coordinator.


class Coordinator(Counting, TellingOfBeginnings, TellingOfEnds):
    """Turns what happens to a session into changes of its record, and tells whoever asked to be told."""

    name = "relay.coordinator"
    horizons = (seconds(7200),)
    final = ("close",)
    keys: ClassVar = SESSION_KEYS
    abstractions: ClassVar = (*Store.abstractions, drop("main(*).proof_tx_hash"))
    bounds = Bounds(starts=9, fault_starts=9)  # from each state of a session that there is
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

    def counts(self, call: Answered) -> bool:
        return call.operation == "on_relay_processed"

    def owed(self, call: Answered, run: Run) -> bool:
        known = self.session_of(call) in records(run.before)  # to begin one takes a supplier, to count in it does not
        return super().owed(call, run) and (known or call.labels[1] == SUPPLIER)

    def entered(self, call: Answered, run: Run) -> bool:
        """See ``Sessions``: what is told was stored, but for *proved*, which is told in any case."""
        session = self.session_of(call)
        stored = call.operation != "on_session_proved" or (session in records(run.before) and not run.fault)
        told = self.enters(call) in told_terminal(run).get(session, ())
        return stored and told and super().entered(call, run)

    def enters(self, call: Answered) -> str:
        if call.operation == "on_session_proved":
            return "proved"
        state = call.operation.removeprefix("on_")
        return state if state in TERMINAL else "claimed" if call.operation == "on_session_claimed" else ""

    def hash_of(self, call: Answered) -> str:
        return {"on_session_claimed": "claim_tx_hash", "on_proof_submitted": "proof_tx_hash"}.get(call.operation, "")

    def versions(self, call: Answered, old: Record | None) -> list[Record | None]:
        new = created(self.session_of(call))
        if call.operation == "on_session_created":
            return [new] if old is None else []
        if call.operation == "on_relay_processed":
            return [_one_more(new), new] if old is None else [_one_more(old)]
        if old is not None and call.operation == "on_proof_submitted":
            return [{**old, "proof_tx_hash": "tx2"}]
        found = super().versions(call, old)
        kept = {"claimed_root_hash": "there", "claim_tx_hash": "tx1"} if call.operation == "on_session_claimed" else {}
        return [{**each, **kept} for each in found if each is not None]


class CoordinatorRefactored(Coordinator):
    """The same after the refactor: of several creators one wins, and a late error does not undo a success."""

    name = "relay.coordinator_refactored"

    def replica(self, world: World) -> SessionCoordinator:
        store = HashSessionStore(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)
        return self.told(world, GuardedSessionCoordinator(store, supplier=SUPPLIER))


# The lifecycle manager.

PARAMETERS = ChainParameters(claim_open_offset=1, claim_close_offset=4, proof_open_offset=0, proof_close_offset=4)


MOVES = {  # where the lifecycle may take a session at one height
    "active": ("claiming", "claimed", "claim_window_closed"),
    "claiming": ("claimed", "claim_window_closed"),
    "claimed": ("proving", "proved", "proof_window_closed"),
    "proving": ("proved", "proof_window_closed"),
}


class ClaimFailedError(Exception):
    """The chain refused a claim or a proof."""


@dataclass(slots=True)
class Miner:
    """A lifecycle manager with a store, a chain, and a chain's answers to claims and proofs as the program sets them."""

    manager: LifecycleManager
    store: SessionStorage
    chain: Chain[ChainParameters]
    answers: str = "good"


class Lifecycle(Counting, TellingOfEnds):
    """Looks at every unfinished session at each new height, and has it claimed, proved or given up in time."""

    name = "relay.lifecycle"
    horizons = (seconds(7200),)
    final = ("close",)
    keys: ClassVar = SESSION_KEYS
    abstractions: ClassVar = (
        *Store.abstractions,
        cap("memory.followers", 1),  # `start` is not guarded: a second one is tried, but not followed further
    )
    bounds = Bounds(moves=1, starts=12, fault_starts=12)  # from each state of a session that there is

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
        # What is tracked follows from what is stored, as a rule; nothing moves by itself until it is started.
        return f"{session_words(state)}, {'started' if state.get('memory')['followers'] else 'not started'}"

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
    async def another_process_counts(self, miner: Miner, session: str) -> None:
        """Another process counts a relay of the session."""
        await miner.store.increment_relay_count(session, 5)

    @operation(session=small("s1", wide=IDS))
    async def another_process_settles(self, miner: Miner, session: str) -> None:
        """Another process keeps how the session was settled."""
        await miner.store.update_settlement_metadata(session, *SETTLED.values())

    @operation(session=small("s1", wide=IDS))
    async def another_process_deletes(self, miner: Miner, session: str) -> None:
        """Another process deletes the session's record."""
        await miner.store.delete(session)

    @operation()
    async def close(self, miner: Miner) -> None:
        await miner.manager.close()

    def foreign(self, call: Answered) -> bool:
        return call.operation.startswith("another_process")

    def removes(self, call: Answered) -> bool:
        return call.operation == "another_process_deletes"

    def enters(self, call: Answered) -> str:
        return call.labels[1] if call.operation == "another_process_moves" else ""

    def counts(self, call: Answered) -> bool:
        return call.operation == "another_process_counts"

    def hash_of(self, call: Answered) -> str:
        return "settlement_tx_hash" if call.operation == "another_process_settles" else ""

    def session_of(self, call: Answered) -> str:
        return "" if call.operation in ("block", "chain_answers") else super().session_of(call)

    def versions(self, call: Answered, old: Record | None) -> list[Record | None]:
        if call.operation == "track_session":
            return [{**created(self.session_of(call)), **counters(old)}]
        if call.operation == "another_process_deletes":
            return [None]
        if old is None:
            return []
        match call.operation:
            case "block" | "start":  # of the sessions that it follows, it moves each on
                return [{**old, "state": state} for state in MOVES.get(str(old.get("state")), ())]
            case "another_process_counts":
                return [_one_more(old)]
            case "another_process_settles":
                return [{**old, **SETTLED}]
        return super().versions(call, old)
