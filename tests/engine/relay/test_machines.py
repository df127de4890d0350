"""Long programs of calls, failures and time against pure models, compared in all that can be seen after every step.

Each machine is also run on services with a planted defect, which it must find.
"""

import base64
from collections.abc import Coroutine
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine.relay.coordinator import SessionCoordinator
from engine.relay.deduplicator import Deduplicator
from engine.relay.errors import (
    CoordinatorClosedError,
    DeduplicationError,
    SessionNotFoundError,
    SessionStoreClosedError,
    SessionStoreError,
    SessionTerminalError,
)
from engine.relay.refactored.coordinator import GuardedSessionCoordinator
from engine.relay.refactored.deduplicator import UncachedDeduplicator
from engine.relay.refactored.store import HashSessionStore
from engine.relay.session import SessionSnapshot
from engine.relay.store import SessionStore
from engine.relay.timestamps import parse_timestamp
from tests.engine.relay.bench import Bench
from tests.engine.relay.models import CoordinatorModel, DedupModel, DedupProcess, Session, StoreModel
from tests.engine.relay.samples import INDEX, PREFIX, SUPPLIER, TEN_STATES, main_key, snapshot
from tests.engine.relay.thoroughness import THOROUGHNESS

WORDS = {
    DeduplicationError: "failed",
    SessionStoreError: "failed",
    SessionNotFoundError: "missing",
    SessionTerminalError: "terminal",
    SessionStoreClosedError: "closed",
    CoordinatorClosedError: "closed",
}
RELAYS = st.sampled_from(["", "b1", "b2", "b3"])
SESSIONS = st.sampled_from(["s1", "s2"])
STATES = st.sampled_from([*TEN_STATES, "claim_skipped", "no such state"])
MOMENTS = {"created_at", "last_updated_at"}
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("supplier_operator_address", "service_id", "application_address", "state"), ""),
    **dict.fromkeys(("session_start_height", "session_end_height"), 0),
}


class Machine(RuleBasedStateMachine):
    """A bench for each program."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.bench.__enter__()
        self.started_at = self.bench.world.clock.now()

    def teardown(self) -> None:
        self.bench.__exit__(None, None, None)

    def outcome(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What ``work`` answers, or the word for what it raises."""
        done = self.bench.world.perform(work)
        error = done.exception()
        if error is None:
            return done.result()
        assert type(error) in WORDS, f"{error!r} is not what a caller may meet"
        return WORDS[type(error)]

    def refuse(self, command: str) -> None:
        """Let the next such command be refused, if there is one in the next call."""
        self.bench.backend.mend()
        if command:
            self.bench.backend.refuse(command)

    def milliseconds(self, moment: datetime | None) -> int | None:
        return None if moment is None else round((moment - self.started_at) / timedelta(milliseconds=1))

    def spelled(self, session: SessionSnapshot) -> Session:
        """A snapshot in the model's words, all eighteen fields."""
        said = {each.name: getattr(session, each.name) for each in fields(session)}
        moments = {name: self.milliseconds(said[name]) for name in MOMENTS}
        return said | moments | {"claimed_root_hash": base64.b64encode(session.claimed_root_hash).decode()}

    def completed(self, session: Session | None) -> Session | None:
        """What a reader should be told of a stored session: what is not written down is empty, zero or unset."""
        return session and self.spelled(snapshot("", **NOTHING)) | session

    def seen(self) -> dict[str, tuple[Any, int | None]]:
        """All sessions and indexes in Redis, in the model's words."""
        found: dict[str, tuple[Any, int | None]] = {}
        for key, record in self.bench.world.dump().get(0, {}).items():
            name = key.decode()
            if record.kind == "set":
                word = "index" if name == INDEX else name.removeprefix(f"{PREFIX}:").replace(":", " ")
                found[word] = ({member.decode() for member in record.value}, record.ttl_ms)
            else:
                session_id = name.removeprefix(main_key(""))
                stored = self.bench.fields(session_id)
                stored |= {
                    moment: self.milliseconds(parse_timestamp(stored[moment])) for moment in MOMENTS & stored.keys()
                }
                found[f"main {session_id}"] = (stored, record.ttl_ms)
        return found


class DedupMachine(Machine):
    """Two processes, one Redis."""

    service: ClassVar[type[Any]] = Deduplicator
    refactored: ClassVar[bool] = False

    @initialize(size=st.sampled_from([0, 1, 2, -1]))
    def begin(self, size: int) -> None:
        self.model = DedupModel(processes=2, size=size, refactored=self.refactored)
        made = [self.bench.deduplicator_of(self.service, local_cache_size=size) for _ in range(2)]
        self.bench.run(made[0].start())
        self.pairs: list[tuple[Any, DedupProcess]] = list(zip(made, self.model.processes, strict=True))

    def bytes_of(self, relays: list[str]) -> list[bytes]:
        return [bytes.fromhex(relay) for relay in relays]

    @rule(process=st.integers(0, 1), relay=RELAYS, session=SESSIONS, refused=st.sampled_from(["", "", "SISMEMBER"]))
    def is_duplicate(self, process: int, relay: str, session: str, refused: str) -> None:
        dedup, model = self.pairs[process]
        self.refuse(refused)
        expected = self.model.is_duplicate(model, relay, session, refused=refused)
        assert self.outcome(dedup.is_duplicate(bytes.fromhex(relay), session)) == expected

    @rule(
        process=st.integers(0, 1), relay=RELAYS, session=SESSIONS, refused=st.sampled_from(["", "", "SADD", "EXPIRE"])
    )
    def mark_processed(self, process: int, relay: str, session: str, refused: str) -> None:
        dedup, model = self.pairs[process]
        self.refuse(refused)
        expected = self.model.mark(model, [relay], session, word="redis_mark", refused=refused)
        assert self.outcome(dedup.mark_processed(bytes.fromhex(relay), session)) == expected

    @rule(
        process=st.integers(0, 1),
        relays=st.lists(RELAYS, max_size=4),
        session=SESSIONS,
        refused=st.sampled_from(["", "", "SADD", "EXPIRE"]),
    )
    def mark_processed_batch(self, process: int, relays: list[str], session: str, refused: str) -> None:
        dedup, model = self.pairs[process]
        self.refuse(refused)
        expected = self.model.mark(model, relays, session, word="redis_batch_mark", refused=refused)
        assert self.outcome(dedup.mark_processed_batch(self.bytes_of(relays), session)) == expected

    @rule(process=st.integers(0, 1), session=SESSIONS, refused=st.sampled_from(["", "", "DEL"]))
    def cleanup_session(self, process: int, session: str, refused: str) -> None:
        dedup, model = self.pairs[process]
        self.refuse(refused)
        assert self.outcome(dedup.cleanup_session(session)) == self.model.cleanup(model, session, refused=refused)

    @rule(milliseconds=st.sampled_from([1, 60_000, 150_000, 299_999, 300_000, 300_001]))
    def pass_time(self, milliseconds: int) -> None:
        self.bench.advance(milliseconds / 1000)
        self.model.pass_time(milliseconds)

    @invariant()
    def redis_caches_and_counters_are_as_the_model_has_them(self) -> None:
        seen = {}
        for key, record in self.bench.world.dump().get(0, {}).items():
            members = {member.hex() if self.refactored else member.decode() for member in record.value}
            seen[key.decode().removeprefix("ha:miner:dedup:session:")] = (members, record.ttl_ms)
        assert seen == self.model.redis.everything()
        for dedup, model in self.pairs:
            assert self.bench.counters(dedup) == model.counted
            assert self.refactored or dedup.local_entries() == model.cache


class StoreMachine(Machine):
    """One supplier's store, and what its callers do with it."""

    service: ClassVar[type[Any]] = SessionStore
    refactored: ClassVar[bool] = False

    @initialize()
    def begin(self) -> None:
        self.model = self.new_model()
        self.store = self.bench.store_of(self.service)

    def new_model(self) -> StoreModel:
        return StoreModel(refactored=self.refactored)

    def command(self, part: str) -> str:
        """The command by which a part of an operation is done."""
        return {"": "", "look": "TYPE" if self.refactored else "GET", "write": "EXEC", "leave": "SREM"}[part]

    @rule(
        session=SESSIONS,
        state=STATES,
        counters=st.sampled_from([(0, 0), (3, 900)]),
        claim=st.sampled_from([("", b""), ("tx-1", b"\x00root")]),
        settlement=st.sampled_from([(None, None, None), ("settled", 120, "tx-9"), ("", 0, "")]),
        old=st.booleans(),
        refused=st.sampled_from(["", "", "", "look", "write", "leave"]),
    )
    def save(
        self, session: str, state: str, counters: Any, claim: Any, settlement: Any, old: bool, refused: str
    ) -> None:
        given = snapshot(session, state=state, created_at=self.started_at - timedelta(days=1) if old else None)
        given.relay_count, given.total_compute_units = counters
        given.claim_tx_hash, given.claimed_root_hash = claim
        given.settlement_outcome, given.settlement_height, given.settlement_tx_hash = settlement
        said = self.spelled(given)
        self.refuse(self.command(refused))
        assert self.outcome(self.store.save(given)) == self.model.save(said, refused=refused)
        assert self.spelled(given) == said, "the caller's own snapshot is stamped"

    @rule(session=SESSIONS)
    def get(self, session: str) -> None:
        self.refuse("")
        read = self.outcome(self.store.get(session))
        assert (read and self.spelled(read)) == self.completed(self.model.get(session))

    @rule()
    def get_by_supplier(self) -> None:
        self.refuse("")
        self.compare_lists(self.outcome(self.store.get_by_supplier()), self.model.by_supplier())

    @rule(state=STATES)
    def get_by_state(self, state: str) -> None:
        self.refuse("")
        self.compare_lists(self.outcome(self.store.get_by_state(state)), self.model.by_state(state))

    def compare_lists(self, read: list[SessionSnapshot] | None, expected: list[Session] | None) -> None:
        assert (read is None) == (expected is None)
        assert [self.spelled(each) for each in read or []] == [self.completed(each) for each in expected or []]

    @rule(session=SESSIONS)
    def delete(self, session: str) -> None:
        self.refuse("")
        assert self.outcome(self.store.delete(session)) == self.model.delete(session)

    @rule(session=SESSIONS, state=STATES, refused=st.sampled_from(["", "", "write"]))
    def update_state(self, session: str, state: str, refused: str) -> None:
        self.refuse(self.command(refused))
        assert self.outcome(self.store.update_state(session, state)) == self.model.update_state(
            session, state, refused=refused
        )

    @rule(session=SESSIONS, settlement=st.sampled_from([("settled", 120, "tx-9"), ("slashed", 0, "")]))
    def update_settlement_metadata(self, session: str, settlement: tuple[str, int, str]) -> None:
        self.refuse("")
        outcome, height, tx = settlement
        expected = self.model.note(session, settlement_outcome=outcome, settlement_height=height, settlement_tx_hash=tx)
        assert self.outcome(self.store.update_settlement_metadata(session, *settlement)) == expected

    @rule(session=SESSIONS, entry=st.sampled_from(["1-0", "1-1"]))
    def update_wal_position(self, session: str, entry: str) -> None:
        self.refuse("")
        expected = self.model.note(session, last_wal_entry_id=entry)
        assert self.outcome(self.store.update_wal_position(session, entry)) == expected

    @rule(session=SESSIONS, units=st.integers(-5, 2**40))
    def increment_relay_count(self, session: str, units: int) -> None:
        self.refuse("")
        expected = self.model.increment_relay_count(session, units)
        assert self.outcome(self.store.increment_relay_count(session, units)) == expected

    @rule(rarely=st.integers(0, 9))
    def close(self, rarely: int) -> None:
        if rarely == 0:
            self.bench.run(self.store.close())
            self.model.closed = True

    @rule(milliseconds=st.sampled_from([1, 1000, 3_600_000, 7_199_999, 7_200_000, 7_200_001]))
    def pass_time(self, milliseconds: int) -> None:
        self.bench.advance(milliseconds / 1000)
        self.model.redis.pass_time(milliseconds)

    @invariant()
    def redis_is_as_the_model_has_it(self) -> None:
        assert self.seen() == self.model.redis.everything()


class CoordinatorMachine(Machine):
    """A coordinator on its store, and another process that moves sessions beneath it."""

    service: ClassVar[type[Any]] = SessionCoordinator
    store_kind: ClassVar[type[Any]] = SessionStore
    refactored: ClassVar[bool] = False

    @initialize(known=st.booleans())
    def begin(self, known: bool) -> None:
        self.model = CoordinatorModel(refactored=self.refactored)
        self.store = self.bench.store_of(self.store_kind)
        self.coordinator = self.bench.recorded(self.service(self.store, supplier=SUPPLIER))
        if known:
            self.on_session_created("s1")

    def new_session(self, session: str, supplier: str = SUPPLIER) -> Session:
        return self.spelled(snapshot(session, supplier_operator_address=supplier))

    @rule(session=SESSIONS, units=st.integers(0, 9), supplier=st.sampled_from([SUPPLIER, SUPPLIER, ""]))
    def on_relay_processed(self, session: str, units: int, supplier: str) -> None:
        expected = self.model.on_relay_processed(self.new_session(session, supplier), units)
        work = self.coordinator.on_relay_processed(session, units, supplier, "svc", "app", 101, 104)
        assert self.outcome(work) == expected

    @rule(session=SESSIONS)
    def on_session_created(self, session: str) -> None:
        work = self.coordinator.on_session_created(session, SUPPLIER, "svc", "app", 101, 104)
        assert self.outcome(work) == self.model.on_session_created(self.new_session(session))

    @rule(session=SESSIONS, tx=st.sampled_from(["tx-1", "tx-2"]))
    def on_session_claimed(self, session: str, tx: str) -> None:
        expected = self.model.on_session_claimed(session, "cm9vdA==", tx)
        assert self.outcome(self.coordinator.on_session_claimed(session, b"root", tx)) == expected

    @rule(session=SESSIONS, tx=st.sampled_from(["tx-3", "tx-4"]))
    def on_proof_submitted(self, session: str, tx: str) -> None:
        assert self.outcome(self.coordinator.on_proof_submitted(session, tx)) == self.model.on_proof_submitted(
            session, tx
        )

    @rule(session=SESSIONS)
    def on_session_proved(self, session: str) -> None:
        assert self.outcome(self.coordinator.on_session_proved(session)) == self.model.on_session_proved(session)

    @rule(session=SESSIONS, state=st.sampled_from(["claim_tx_error", "proof_tx_error"]))
    def on_tx_error(self, session: str, state: str) -> None:
        self.finish(session, state)

    @rule(
        session=SESSIONS,
        state=st.sampled_from(["claim_window_closed", "proof_window_closed", "probabilistic_proved"]),
    )
    def on_finished(self, session: str, state: str) -> None:
        self.finish(session, state)

    def finish(self, session: str, state: str) -> None:
        expected = self.model.on_finished(session, state)
        assert self.outcome(getattr(self.coordinator, f"on_{state}")(session)) == expected

    @rule(session=SESSIONS, state=STATES)
    def another_process_moves(self, session: str, state: str) -> None:
        assert self.outcome(self.store.update_state(session, state)) == self.model.store.update_state(session, state)

    @rule(session=SESSIONS)
    def another_process_deletes(self, session: str) -> None:
        assert self.outcome(self.store.delete(session)) == self.model.store.delete(session)

    @rule(rarely=st.integers(0, 9))
    def close(self, rarely: int) -> None:
        if rarely == 0:
            self.bench.run(self.coordinator.close())
            self.model.closed = True

    @rule(milliseconds=st.sampled_from([1000, 7_200_000, 7_200_001]))
    def pass_time(self, milliseconds: int) -> None:
        self.bench.advance(milliseconds / 1000)
        self.model.store.redis.pass_time(milliseconds)

    @invariant()
    def redis_and_callbacks_are_as_the_model_has_them(self) -> None:
        assert self.seen() == self.model.store.redis.everything()
        told = [
            (name, getattr(first, "session_id", first), *rest) for name, first, *rest in self.bench.take_callbacks()
        ]
        expected, self.model.told = self.model.told, []
        assert told == expected


class RefactoredDedupMachine(DedupMachine):
    service = UncachedDeduplicator
    refactored = True


class RefactoredStoreMachine(StoreMachine):
    service = HashSessionStore
    refactored = True

    @rule(session=SESSIONS, state=STATES)
    def create_if_absent(self, session: str, state: str) -> None:
        given = snapshot(session, state=state)
        said = self.spelled(given)
        self.refuse("")
        assert self.outcome(self.store.create_if_absent(given)) == self.model.create_if_absent(said)
        assert self.spelled(given) == said


class RefactoredCoordinatorMachine(CoordinatorMachine):
    service = GuardedSessionCoordinator
    store_kind = HashSessionStore
    refactored = True


MACHINES = {
    "deduplicator as it is": DedupMachine,
    "deduplicator refactored": RefactoredDedupMachine,
    "store as it is": StoreMachine,
    "store refactored": RefactoredStoreMachine,
    "coordinator as it is": CoordinatorMachine,
    "coordinator refactored": RefactoredCoordinatorMachine,
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_no_program_tells_a_service_from_its_model(machine: type[Machine]) -> None:
    assert run_state_machine_as_test(machine, settings=THOROUGHNESS) is None


# Planted defects.


class KeepsWhatItCleanedUp(Deduplicator):
    async def cleanup_session(self, session_id: str) -> None:
        kept = self._local.get(session_id)
        await super().cleanup_session(session_id)
        if kept:
            self._local[session_id] = kept


class RemembersBeforeRedisDoes(Deduplicator):
    async def mark_processed(self, relay_hash: bytes, session_id: str) -> None:
        self._remember(session_id, relay_hash.hex())
        await super().mark_processed(relay_hash, session_id)


class DoesNotRenew(Deduplicator):
    async def mark_processed(self, relay_hash: bytes, session_id: str) -> None:
        left_ms = await self._redis.pttl(self._key(session_id))
        await super().mark_processed(relay_hash, session_id)
        if left_ms > 0:
            await self._redis.pexpire(self._key(session_id), left_ms)


class IsAlwaysFirst(UncachedDeduplicator):
    async def mark_processed(self, relay_hash: bytes, session_id: str) -> bool:
        await super().mark_processed(relay_hash, session_id)
        return True


class StaysInTheOldState(SessionStore):
    async def update_state(self, session_id: str, new_state: str) -> None:
        before = await self.get(session_id)
        await super().update_state(session_id, new_state)
        if before is not None:
            await self._redis.sadd(self._keys.state(before.state), session_id)


class IsBornAgain(SessionStore):
    async def save(self, snapshot: SessionSnapshot) -> None:
        snapshot.created_at = None
        await super().save(snapshot)


class CountsWhatIsSettled(SessionStore):
    async def increment_relay_count(self, session_id: str, compute_units: int) -> None:
        try:
            await super().increment_relay_count(session_id, compute_units)
        except SessionTerminalError:
            session = await self._existing(session_id)
            session.relay_count += 1
            await self._overwrite("increment_relay_count", session)


class OverwritesCounters(HashSessionStore):
    async def save(self, snapshot: SessionSnapshot) -> None:
        await super().save(snapshot)
        await self._redis.hset(self._keys.session(snapshot.session_id), "relay_count", str(snapshot.relay_count))


class SaysNothingOfAFailedProof(SessionCoordinator):
    async def on_session_proved(self, session_id: str) -> None:
        if await self._store.get(session_id) is not None or self.closed:
            await super().on_session_proved(session_id)


class CountsOnlyWhatItKnew(SessionCoordinator):
    async def on_relay_processed(self, session_id: str, *relay: Any) -> None:
        known = await self._store.get(session_id)
        if known is not None or self.closed:
            await super().on_relay_processed(session_id, *relay)
        elif relay[1]:
            await self.on_session_created(session_id, *relay[1:])


class SuppressesNothing(GuardedSessionCoordinator):
    async def on_claim_tx_error(self, session_id: str) -> None:
        await SessionCoordinator.on_claim_tx_error(self, session_id)


class SaysThatItCreatedWhatItDidNot(GuardedSessionCoordinator):
    async def _create(self, snapshot: SessionSnapshot) -> bool:
        await super()._create(snapshot)
        return True


def _name(part: Any) -> str:
    return part if isinstance(part, str) else part.__name__


DEFECTS = [
    (DedupMachine, KeepsWhatItCleanedUp, "redis_caches_and_counters_are_as_the_model_has_them"),
    (DedupMachine, RemembersBeforeRedisDoes, "redis_caches_and_counters_are_as_the_model_has_them"),
    (DedupMachine, DoesNotRenew, "redis_caches_and_counters_are_as_the_model_has_them"),
    (RefactoredDedupMachine, IsAlwaysFirst, "mark_processed"),
    (StoreMachine, StaysInTheOldState, "redis_is_as_the_model_has_it"),
    (StoreMachine, IsBornAgain, "save"),
    (StoreMachine, CountsWhatIsSettled, "increment_relay_count"),
    (RefactoredStoreMachine, OverwritesCounters, "redis_is_as_the_model_has_it"),
    (CoordinatorMachine, SaysNothingOfAFailedProof, "redis_and_callbacks_are_as_the_model_has_them"),
    (CoordinatorMachine, CountsOnlyWhatItKnew, "redis_and_callbacks_are_as_the_model_has_them"),
    (RefactoredCoordinatorMachine, SuppressesNothing, "redis_and_callbacks_are_as_the_model_has_them"),
    (RefactoredCoordinatorMachine, SaysThatItCreatedWhatItDidNot, "redis_and_callbacks_are_as_the_model_has_them"),
]


@pytest.mark.parametrize(("machine", "defect", "noticed_in"), DEFECTS, ids=_name)
def test_a_machine_finds_a_planted_defect(machine: type[Machine], defect: type[Any], noticed_in: str) -> None:
    planted = type(f"Planted{defect.__name__}", (machine,), {"service": defect})
    hurried = settings(THOROUGHNESS, phases=[Phase.generate], max_examples=300, report_multiple_bugs=False)
    with pytest.raises(AssertionError) as raised:
        run_state_machine_as_test(planted, settings=hurried)
    assert raised.traceback[-1].name == noticed_in, "it is the defect that was found, and not something else"


def test_every_machine_has_a_planted_defect() -> None:
    assert {machine for machine, *_ in DEFECTS} == set(MACHINES.values())
