"""Drills of the relay core's laws: a planted defect that breaks each, and a service by which it holds there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from characterization import World
from characterization.finding import load_subject
from characterization.laws import Findings, Judge, Verdict
from characterization.lenses.runner import Raced, Tried, local_runner
from characterization.program import parse
from characterization.state import State
from characterization.subject import Run, Subject
from characterization.subjects.relay import (
    SUPPLIER,
    Coordinator,
    CoordinatorRefactored,
    Dedup,
    DedupRefactored,
    Lifecycle,
    Store,
    StoreRefactored,
)
from engine.relay.coordinator import SessionCoordinator
from engine.relay.deduplicator import Deduplicator
from engine.relay.lifecycle import LifecycleManager
from engine.relay.refactored.deduplicator import UncachedDeduplicator
from engine.relay.store import SessionStore
from simulator.seed import Seed
from tests.drills import planted

DECLARED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["holdfast"]["subjects"]


def dedup(method: str, old: str, new: str, subject: type[Dedup] = Dedup, service: Any = Deduplicator) -> type[Subject]:
    """The subject with one edit in its deduplicator."""
    found = planted.edited(service, method, old, new)

    class Edited(subject):  # type: ignore[valid-type,misc]
        def replica(self, world: World) -> Any:
            return found(world.redis(), config=self.config, metrics=self.metrics(world))

    return Edited


def store(method: str, old: str, new: str) -> type[Subject]:
    """The store with one edit."""
    found = planted.edited(SessionStore, method, old, new)

    class Edited(Store):
        def replica(self, world: World) -> Any:
            return planted.store(found, world)

    return Edited


def coordinator(method: str, old: str, new: str) -> type[Subject]:
    """The coordinator with one edit."""
    found = planted.edited(SessionCoordinator, method, old, new)

    class Edited(Coordinator):
        def replica(self, world: World) -> Any:
            return self.told(world, found(planted.store(SessionStore, world), supplier=SUPPLIER))

    return Edited


def lifecycle(method: str, old: str, new: str) -> type[Subject]:
    """The lifecycle manager with one edit."""
    found = planted.edited(LifecycleManager, method, old, new)

    class Edited(Lifecycle):
        def replica(self, world: World) -> Any:
            miner = super().replica(world)
            miner.manager.__class__ = found
            return miner

    return Edited


KEEPS_ENDS = store("update_state", "if old_state == new_state:", "if old_state == new_state or is_terminal(old_state):")
RESETS = (
    """await self._redis.set(self._keys.session(session_id), b'{"state": "active"}', ex=9); """
    "raise SessionTerminalError(session_id, snapshot.state)"
)
ONE_SESSION = "await self._redis.delete(self._key(session_id))"
FORGETS_RECORDS = store(
    "update_wal_position", 'await self._overwrite("update_wal_position", snapshot)',
    "await self._redis.delete(self._keys.session(session_id))",
)  # fmt: skip
REPLACES_CLAIMS = store(
    "update_wal_position", "snapshot.last_wal_entry_id = entry_id", "snapshot.claim_tx_hash = entry_id"
)
BEGINS_ANEW = dedup("_mark", "pipe.sadd(key, *members)", "pipe.delete(key); pipe.sadd(key, *members)")
CLEANS_EVERYTHING = dedup("cleanup_session", ONE_SESSION, "await self._redis.flushdb()")
ALL_ARE_FIRST = dedup("mark_processed", "return ", "return True or ", DedupRefactored, UncachedDeduplicator)
PROVES_CLAIMS = lifecycle("_claim", "SessionState.CLAIMED)", "SessionState.PROVED)")

# By law: a program, who breaks it there, and by whom it holds there; none: by nobody of ours.
DRILLS: list[tuple[str, str, type[Subject], type[Subject] | None]] = [
    ("a_marked_relay_is_a_duplicate", "mark_processed r1 s1 @2 ; is_duplicate r1 s1",
     dedup("is_duplicate", "if known:", "if False:"), Dedup),
    ("only_a_marked_relay_is_a_duplicate", "mark_processed r1 s1 ; cleanup_session s1 @2 ; is_duplicate r1 s1",
     Dedup, DedupRefactored),
    ("only_a_marked_relay_is_a_duplicate", "mark_processed r1 s1 ; is_duplicate r2 s1",
     dedup("is_duplicate", "return False", "return True"), Dedup),
    ("an_acknowledged_mark_is_remembered", "mark_processed r1 s1",
     dedup("_mark", "pipe.sadd(key, *members)", "pass"), Dedup),
    ("an_acknowledged_mark_is_remembered", "{ mark_processed r1 s1 || mark_processed_batch both s1 @2 }",
     BEGINS_ANEW, Dedup),
    ("an_acknowledged_mark_is_remembered", "mark_processed_batch both s1 ; mark_processed r1 s1", BEGINS_ANEW, Dedup),
    ("an_acknowledged_mark_is_remembered", "{ mark_processed r1 s1 || cleanup_session s2 @2 }", CLEANS_EVERYTHING, Dedup),
    ("of_those_who_mark_a_relay_one_is_told_first", "{ mark_processed r1 s1 || mark_processed r1 s1 @2 }",
     ALL_ARE_FIRST, DedupRefactored),
    ("of_those_who_mark_a_relay_one_is_told_first",
     "{ mark_processed r1 s1 || mark_processed r1 s1 @2 || cleanup_session s2 @2 }", ALL_ARE_FIRST, DedupRefactored),
    ("of_those_who_mark_a_relay_one_is_told_first", "mark_processed r1 s1 ! reset @1, refused @2+", DedupRefactored, None),
    ("cleanup_affects_one_session", "mark_processed r1 s1 ; cleanup_session s2",
     CLEANS_EVERYTHING, Dedup),
    ("cleanup_affects_one_session", "mark_processed r1 s1 ; { is_duplicate r1 s1 || cleanup_session s2 @2 }",
     CLEANS_EVERYTHING, Dedup),
    ("cleanup_affects_one_session", "mark_processed r1 s1 ; cleanup_session s2",
     dedup("cleanup_session", "self._local.pop(session_id, None)", "self._local.clear()"), Dedup),
    ("every_key_has_a_time_to_live_within_the_configured", "mark_processed_batch both s1",
     planted.BatchSetsNoExpiry, Dedup),
    ("every_key_has_a_time_to_live_within_the_configured", "mark_processed r1 s1",
     dedup("_mark", "self._config.ttl_seconds", "self._config.ttl_seconds + 1"), Dedup),
    ("close_is_idempotent", "close ; close", dedup("close", "return", "raise RuntimeError"), Dedup),
    ("close_is_idempotent", "close ; close",
     store("close", "self._closed = True", "self._closed = not self._closed"), Store),
    ("close_leaves_no_task_behind", "start ; close", dedup("close", "if self._cleaner is not None:", "if False:"), Dedup),
    ("close_leaves_no_task_behind", "start ; start ; { close || close }", Dedup, DedupRefactored),
    ("close_leaves_no_task_behind", "start @2 ; close @2 ; start ; start ; close", Dedup, DedupRefactored),
    ("an_id_is_in_exactly_one_state_index", "save s1 ; update_state s1 claimed", planted.UpdateLeavesOldIndex, Store),
    ("an_id_is_in_exactly_one_state_index", "{ save s1 || save s1-claimed @2 }", Store, None),
    ("an_id_is_in_the_supplier_index_iff_its_record_exists", "save s1 ; delete s1",
     store("delete", "pipe.srem(self._keys.index(), session_id)", "pass"), Store),
    ("a_terminal_state_is_final", "save s1 ; update_state s1 proved ; update_state s1 active", Store, KEEPS_ENDS),
    ("a_terminal_state_is_final", "save s1 ; { increment_relay_count s1 5 || update_state s1 proved @2 }",
     Store, StoreRefactored),
    ("a_terminal_state_is_final", "save s1 ; update_state s1 proved ; update_wal_position s1 e1", FORGETS_RECORDS, Store),
    ("a_terminal_state_is_final", "save s1 ; update_state s1 proved ; { update_state s1 active || clock +1s }",
     Store, KEEPS_ENDS),
    ("a_terminal_state_is_final", "on_session_created s1 ; { on_claim_tx_error s1 || on_session_proved s1 @2 }",
     Coordinator, None),
    ("an_error_leaves_the_old_or_the_new_version", "save s1 ; update_state s1 proved ; increment_relay_count s1 5",
     store("increment_relay_count", "raise SessionTerminalError(session_id, snapshot.state)", RESETS), Store),
    ("an_error_leaves_the_old_or_the_new_version",
     "on_relay_processed s1 sup1 ; on_session_claimed s1 ; on_relay_processed s1 sup1 ! busy @1",
     Coordinator, CoordinatorRefactored),
    ("an_error_leaves_the_old_or_the_new_version", "track_session s1 ; start ; block 106 ! reply lost @2",
     PROVES_CLAIMS, Lifecycle),
    ("no_acknowledged_relay_is_lost", "save s1 ; increment_relay_count s1 5",
     store("increment_relay_count", "snapshot.relay_count += 1", "pass"), Store),
    ("no_acknowledged_relay_is_lost", "save s1 ; { increment_relay_count s1 5 || increment_relay_count s1 5 @2 }",
     Store, StoreRefactored),
    ("no_acknowledged_relay_is_lost", "save s1 ; increment_relay_count s1 5 ; save s1", Store, StoreRefactored),
    ("no_acknowledged_relay_is_lost", "save s1 ; increment_relay_count s1 5 ; update_wal_position s1 e1",
     FORGETS_RECORDS, Store),
    ("no_acknowledged_relay_is_lost", "save s1 ; increment_relay_count s1 5 ; { get s1 || update_wal_position s1 e1 @2 }",
     FORGETS_RECORDS, Store),
    ("no_acknowledged_relay_is_lost",
     "save s1 ; { increment_relay_count s1 5 || increment_relay_count s1 5 @2 || clock +1s }", Store, StoreRefactored),
    ("no_acknowledged_relay_is_lost",
     "on_session_created s1 ; { on_relay_processed s1 none || on_relay_processed s1 none @2 }",
     Coordinator, CoordinatorRefactored),
    ("no_acknowledged_relay_is_lost", "track_session s1 ; another_process_counts s1 ; track_session s1", Lifecycle, None),
    ("no_acknowledged_relay_is_lost", "track_session s1 ; start ; { block 106 || another_process_counts s1 }",
     Lifecycle, None),
    ("no_relay_is_counted_twice", "save s1 ; { increment_relay_count s1 5 || delete s1 @2 || clock +7200.001s }",
     store("increment_relay_count", "snapshot.relay_count += 1", "snapshot.relay_count += 2"), Store),
    ("no_relay_is_counted_twice", "save s1 ; increment_relay_count s1 5",
     store("increment_relay_count", "snapshot.relay_count += 1", "snapshot.relay_count += 2"), Store),
    ("a_terminal_session_counts_no_relays", "save s1 ; update_state s1 proved ; increment_relay_count s1 5",
     planted.IncrementInTerminalState, Store),
    ("a_transaction_hash_never_disappears", "save s1-claimed", planted.SaveForgetsClaimHash, Store),
    ("a_transaction_hash_never_disappears", "save s1-claimed ; save s1", Store, None),
    ("a_transaction_hash_never_disappears", "save s1-claimed ; update_wal_position s1 e1", FORGETS_RECORDS, Store),
    ("a_transaction_hash_never_disappears", "save s1-claimed ; update_wal_position s1 e1", REPLACES_CLAIMS, Store),
    ("a_transaction_hash_never_disappears", "track_session s1 ; another_process_settles s1 ; track_session s1",
     Lifecycle, None),
    ("a_transaction_hash_never_disappears", "track_session s1 ; start ; { block 110 || another_process_settles s1 }",
     Lifecycle, None),
    ("one_created_callback_comes_for_each_session", "on_session_created s1",
     coordinator("on_session_created", "await self._tell_created(snapshot)", "pass"), Coordinator),
    ("one_created_callback_comes_for_each_session", "{ on_session_created s1 || on_session_created s1 @2 }",
     Coordinator, CoordinatorRefactored),
    ("a_terminal_callback_comes_iff_the_stored_state_became_terminal", "on_session_created s1 ; on_claim_tx_error s1",
     coordinator("_finish", "await self._tell_terminal(session_id, state)", "pass"), Coordinator),
    ("a_terminal_callback_comes_iff_the_stored_state_became_terminal", "track_session s1 ; start ; block 110",
     lifecycle("_give_up", "await self._on_terminal(session_id, state.value)", "pass"), Lifecycle),
]  # fmt: skip


def judged(kind: type[Subject], text: str) -> Findings:
    """What ``text`` alone shows of the laws of ``kind``."""
    program = parse(text)
    with local_runner(kind(), Seed(7)) as runner:
        if program.at_once is not None:
            runner.race([Raced(program)], lambda _: None)
        elif program.struck is not None:
            runner.fault([Tried(program.healthy, (program.struck.plan,))], lambda _: None)
        else:
            runner.run([program], lambda _: None)
        return runner.laws


def verdict(kind: type[Subject], law: str, text: str) -> Verdict:
    """What ``text`` alone shows of one law."""
    (found,) = [each for each in judged(kind, text) if each.law == law]
    return found.verdict


@pytest.mark.parametrize(
    ("law", "program", "defect", "healthy"), DRILLS, ids=lambda part: getattr(part, "__name__", None)
)
def test_a_planted_defect_breaks_the_law_and_a_healthy_service_keeps_it(
    law: str, program: str, defect: type[Subject], healthy: type[Subject] | None
) -> None:
    assert verdict(defect, law, program) is Verdict.BROKEN
    assert healthy is None or verdict(healthy, law, program) is Verdict.HOLDS


def test_every_law_has_a_defect_and_someone_who_keeps_it() -> None:
    declared = {law for target in DECLARED.values() for law in type(load_subject(target)).laws()}
    assert {law for law, *_ in DRILLS} == declared
    assert {law for law, *_, healthy in DRILLS if healthy is not None} == declared
    assert all(type(load_subject(target)).laws() for target in DECLARED.values())


def test_every_law_gives_its_reason() -> None:
    for target in DECLARED.values():
        assert all(type(load_subject(target)).laws().values())


HEALED = {
    Store: (
        "save s1 ! reply lost @2", "save s1 ; save s1-claimed ! reply lost @3", "save s1 ; delete s1 ! reply lost @2",
        "save s1 ; update_wal_position s1 e1 ! reply lost @2", "save s1 ; update_settlement_metadata s1 ! reply lost @2",
        "save s1 ; update_state s1 claimed ! reply lost @2", "save s1 ; increment_relay_count s1 5 ! reply lost @2",
        "save s1 ; get s1 ! reply lost @1", "update_state s1 claimed ! reply lost @1",
    ),
    Coordinator: (
        "on_session_created s1 ! reply lost @2", "on_session_created s1 ; on_session_claimed s1 ! reply lost @3",
        "on_session_created s1 ; on_proof_submitted s1 ! reply lost @3", "on_relay_processed s1 sup1 ! reply lost @3",
        "on_session_created s1 ; on_session_proved s1 ! reply lost @2", "on_relay_processed s1 sup1 ! reply lost @5",
        "on_session_created s1 ; on_relay_processed s1 sup1 ! reply lost @3", "on_session_claimed s1 ! reply lost @1",
    ),
    Lifecycle: (
        "track_session s1 ! reply lost @2", "track_session s1 ; another_process_moves s1 claimed ! reply lost @2",
        "track_session s1 ; another_process_deletes s1 ! reply lost @2",
        "track_session s1 ; start ; block 106 ! reply lost @2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "program"), [(kind, text) for kind, texts in HEALED.items() for text in texts])
def test_each_operation_leaves_the_old_or_the_new_version_where_its_last_reply_is_lost(
    kind: type[Subject], program: str
) -> None:
    assert verdict(kind, "an_error_leaves_the_old_or_the_new_version", program) is Verdict.HOLDS


def test_what_would_lose_a_record_and_nobody_meant_is_a_lost_relay() -> None:
    loses = store(
        "increment_relay_count",
        'await self._overwrite("increment_relay_count", snapshot)',
        "await self.delete(session_id)",
    )
    assert verdict(loses, "no_acknowledged_relay_is_lost", "save s1 ; increment_relay_count s1 5") is Verdict.BROKEN
    claims = "on_session_created s1 ; { on_session_claimed s1 || on_proof_submitted s1 @2 }"
    assert verdict(Coordinator, "a_transaction_hash_never_disappears", claims) is Verdict.BROKEN
    moved = "track_session s1 ; start ; { block 106 || another_process_moves s1 proved }"
    assert verdict(Lifecycle, "a_terminal_state_is_final", moved) is Verdict.BROKEN
    expires = "save s1 ; { increment_relay_count s1 5 || clock +7200.001s }"
    assert verdict(Store, "no_acknowledged_relay_is_lost", expires) is not Verdict.BROKEN


ONE_INDEX = "an_id_is_in_exactly_one_state_index"
SUPPLIER_INDEX = "an_id_is_in_the_supplier_index_iff_its_record_exists"
FINAL = "a_terminal_state_is_final"
ENDS_TOLD = "a_terminal_callback_comes_iff_the_stored_state_became_terminal"
BEGINNINGS_TOLD = "one_created_callback_comes_for_each_session"
LOST = "no_acknowledged_relay_is_lost"

EXPIRES_WHILE_THEY_WAIT = (
    "update_wal_position s1 e1 ; increment_relay_count s1 5 ; { get s1 @2 || save s1 || get_by_state active @2 || "
    "clock +7199.999s : 2*3 clock 1*3 3*3 timer*110 ! refused @7+ }"
)

# What a program breaks, and nothing else: where a law could take for broken what is as it should be.
BREAKS: list[tuple[type[Subject], str, set[str]]] = [
    # acknowledged, and never entered
    (CoordinatorRefactored,
     "on_relay_processed s1 sup1 ; on_session_claimed s1 ; on_claim_tx_error s1 ! refused @1+", set()),
    (CoordinatorRefactored,
     "on_relay_processed s1 sup1 ; { on_claim_tx_error s1 || on_session_claimed s1 @2 : 2*5 1*2 }", set()),
    (Coordinator, "{ on_session_proved s1 || on_session_created s1 @2 : 1 2*2 }", {ENDS_TOLD}),
    # expired meanwhile
    (Coordinator, "on_session_created s1 ; { on_relay_processed s1 sup1 || clock +7200.001s : clock 1*5 }", set()),
    (Coordinator, "on_session_created s1 ; { on_relay_processed s1 sup1 || clock +7200.001s }",
     {ONE_INDEX, SUPPLIER_INDEX}),
    (Coordinator, "on_session_created s1 ; { on_claim_tx_error s1 || clock +7200.001s }", {SUPPLIER_INDEX}),
    (Coordinator, "on_session_created s1 ; { on_claim_tx_error s1 || clock +7199.999s }", set()),
    (StoreRefactored, EXPIRES_WHILE_THEY_WAIT, {ONE_INDEX, SUPPLIER_INDEX}),
    # from one end to another, and to the same again
    (Coordinator, "on_session_created s1 ; on_claim_tx_error s1 ; on_session_proved s1", {FINAL}),
    (Coordinator, "on_session_created s1 ; on_claim_tx_error s1 ; on_claim_tx_error s1", {ENDS_TOLD}),
    # told in one part, and stored once the client has tried again; the index expires before the record that was moved
    (Lifecycle, "track_session s1 ; start ; block 110 ! reply lost @2 ; block 110", set()),
    (Lifecycle, "track_session s1 ; start ; block 110 ! reply lost @2 ; block 110 ; clock +7199.999s", {SUPPLIER_INDEX}),
    # what looks like a number
    (StoreRefactored, """save s1 ; update_wal_position s1 '="8"' ! cancelled after @1 ; get s1""", set()),
    (StoreRefactored, """save s1 ; update_state s1 '="0"' ! cancelled after @1 ; get s1""", {ONE_INDEX}),
    # what looks like digits
    *((kind, f"mark_processed r1 s1 ; is_duplicate '{label}' s1", set())
      for kind in (Dedup, DedupRefactored) for label in ('=b"b1"', '=b"0xb"', '=b""', '=b"\\xb2"')),
    *((kind, f"mark_processed '{label}' s1 ; is_duplicate '{label}' s1", set())
      for kind in (Dedup, DedupRefactored) for label in ('=b"b1"', '=b"0xb"', '=b""', '=b"\\xb2"')),
    # what another service does to itself, or has undone
    (Lifecycle, "track_session s1 ; { another_process_counts s1 || another_process_counts s1 @2 }", set()),
    (Lifecycle, "track_session s1 ; another_process_moves s1 proved ; another_process_moves s1 claimed", set()),
    # asked again after an answer that was lost, and told
    (DedupRefactored, "mark_processed r1 s1 ! refused @1+", set()),
    (DedupRefactored, "mark_processed r1 s1 ; mark_processed r1 s1 ! reply lost @1", set()),
    (DedupRefactored, "{ mark_processed r1 s1 || mark_processed_batch both s1 @2 }", set()),
    # cleaned up meanwhile
    (Dedup, "mark_processed r1 s1 ; { mark_processed_batch both s1 || cleanup_session s1 @2 }", set()),
    (Dedup, "mark_processed r1 s1 ; { mark_processed_batch both s1 || cleanup_session s2 @2 }", set()),
    (Dedup, "mark_processed r1 s1 ; { is_duplicate r2 s1 @2 || clock +300.001s }", set()),
    # others still run, or have never begun
    (Dedup, "start @2 ; start ; close", set()),
    (Dedup, "close ; { start || close @2 }", set()),
    (CoordinatorRefactored,
     "on_session_created s1 ; { on_relay_processed s1 none || on_relay_processed s1 none @2 }", set()),
    (CoordinatorRefactored, "on_relay_processed s1 none", set()),
    (StoreRefactored, "save s1 ; { increment_relay_count s1 5 || delete s1 @2 }", set()),
    (Coordinator, "on_session_created s1 ; { on_claim_tx_error s1 || on_session_created s1 @2 }",
     {FINAL, ENDS_TOLD, ONE_INDEX, BEGINNINGS_TOLD}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "program", "laws"), BREAKS)
def test_a_program_breaks_these_laws_and_no_others(kind: type[Subject], program: str, laws: set[str]) -> None:
    assert {each.law for each in judged(kind, program) if each.broken} == laws


@pytest.mark.parametrize(("answers", "broken"), [
    (("raises BusyError('busy')", "None"), False),
    (("raises BusyError('busy')", "raises RuntimeError('closed')"), True),
    (("None", "None"), False),
])  # fmt: skip
def test_who_closes_again_since_a_fault_struck_is_not_blamed_for_the_first_time(
    answers: tuple[str, str], broken: bool
) -> None:
    run = Run(program="close ! busy @1", before=State({}), after=State({}), answers=answers, repeated=1)
    assert ("close_is_idempotent" in Judge(Dedup()).observe(run, "fault")) is broken
