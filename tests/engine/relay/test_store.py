"""The twelve characterization tests of the session store, as it is."""

import json
from dataclasses import replace

import pytest

from engine.relay.errors import SessionNotFoundError, SessionStoreError, SessionTerminalError
from tests.engine.relay.bench import Bench
from tests.engine.relay.commands import deleting, listing, looking, moving, overwriting, saving
from tests.engine.relay.interleaving import ORDERS, last_writers_count, race
from tests.engine.relay.samples import (
    CREATED_AT,
    FINAL_STATES,
    INDEX,
    LIVING_STATES,
    TEN_STATES,
    fields_of,
    full_fields,
    full_snapshot,
    main_key,
    snapshot,
    state_key,
)

EXTREMES = {"one after another": 10, "in step": 1}


def test_save_and_get(bench: Bench) -> None:
    store, given = bench.store(), full_snapshot()
    bench.run(store.save(given))
    assert bench.take_steps() == saving(state="claimed")
    assert given == full_snapshot(last_updated_at=bench.world.clock.now()), "save stamps the caller's own snapshot"
    assert bench.fields() == full_fields(last_updated_at=bench.now_text())
    assert bench.stored() == {main_key("s1"), INDEX, state_key("claimed")}
    assert bench.members(INDEX) == bench.members(state_key("claimed")) == {"s1"}
    assert {bench.ttl_s(key) for key in bench.stored()} == {7200}

    assert bench.run(store.get("s1")) == given
    assert bench.take_steps() == looking()

    bench.advance(0.5)
    again = replace(given, state="proving", settlement_outcome=None, settlement_height=None, settlement_tx_hash=None)
    bench.run(store.save(again))
    assert bench.take_steps() == saving(state="proving", old="claimed")
    assert again.created_at == CREATED_AT
    assert bench.run(bench.store().get("s1")) == again, "another process reads the same"
    assert "settlement_outcome" not in bench.fields(), "what is unset is left out"
    assert bench.filed_under() == {"proving"}
    assert bench.ttl_s(main_key("s1")) == bench.ttl_s(INDEX) == 7200


def test_update_state(bench: Bench) -> None:
    store = bench.store()
    bench.run(store.save(full_snapshot(state="active")))
    bench.take_steps()
    created = bench.fields()
    for seconds, (old, new) in enumerate(zip(TEN_STATES, [*TEN_STATES[1:], "no such state"], strict=True), 1):
        bench.advance(1)
        bench.run(store.update_state("s1", new))
        assert bench.take_steps() == moving(old=old, new=new), "any move is accepted"
        assert bench.fields() == created | {"state": new, "last_updated_at": bench.now_text()}
        assert bench.filed_under() == {new}
        assert bench.ttl_s(main_key("s1")) == bench.ttl_s(state_key(new)) == 7200
        assert bench.ttl_s(INDEX) == 7200 - seconds, "the supplier's index is not touched"
    bench.advance(1)
    before = bench.fields()
    bench.run(store.update_state("s1", "no such state"))
    assert bench.take_steps() == looking(), "the same state again writes nothing"
    assert bench.fields() == before


def test_list_by_state(bench: Bench) -> None:
    store = bench.store()
    saved = {
        name: snapshot(name, state=state) for name, state in {"a": "active", "b": "claimed", "c": "active"}.items()
    }
    for each in saved.values():
        bench.run(store.save(each))
    bench.take_steps()
    assert bench.run(store.get_by_state("active")) == [saved["a"], saved["c"]]
    assert bench.take_steps() == listing(state_key("active"), "a", "c")
    assert bench.run(store.get_by_state("claimed")) == [saved["b"]]
    assert bench.run(store.get_by_state("proved")) is None
    assert bench.take_steps() == [*listing(state_key("claimed"), "b"), *listing(state_key("proved"))]

    bench.arrange("SADD", state_key("active"), "b", "gone")
    assert bench.run(store.get_by_state("active")) == [saved["a"], saved["c"]], "a wrong state, or no record: left out"
    assert bench.members(state_key("active")) == {"a", "b", "c", "gone"}, "but never removed"
    assert bench.run(store.get_by_state("claimed")) == [saved["b"]]
    bench.arrange("SADD", state_key("proved"), "a")
    assert bench.run(store.get_by_state("proved")) == [], "an index without matching records is not an empty index"


def test_delete(bench: Bench) -> None:
    store = bench.store()
    for name in ("s1", "s2"):
        bench.run(store.save(snapshot(name)))
    bench.take_steps()
    bench.run(store.delete("s1"))
    assert bench.take_steps() == deleting(state="active")
    assert bench.stored() == {main_key("s2"), INDEX, state_key("active")}
    assert bench.members(INDEX) == bench.members(state_key("active")) == {"s2"}
    assert bench.run(store.get("s1")) is None

    bench.arrange("SADD", INDEX, "s1")
    bench.arrange("SADD", state_key("claimed"), "s2")
    bench.take_steps()
    bench.run(store.delete("s1"))
    assert bench.take_steps() == looking(), "without a record nothing is removed"
    assert bench.members(INDEX) == {"s1", "s2"}
    bench.run(store.delete("s2"))
    assert bench.stored() == {INDEX, state_key("claimed")}
    assert bench.filed_under("s2") == {"claimed"}, "it leaves the index of the state that was read, and no other"


def test_missing_session(bench: Bench) -> None:
    store = bench.store()
    assert bench.run(store.get("s1")) is None
    bench.run(store.delete("s1"))
    assert bench.run(store.get_by_supplier()) is None
    assert bench.take_steps() == [*looking(), *looking(), *listing(INDEX)]
    for work in (
        store.update_state("s1", "claiming"),
        store.update_settlement_metadata("s1", "settled", 120, "tx"),
        store.update_wal_position("s1", "1-1"),
        store.increment_relay_count("s1", 5),
    ):
        with pytest.raises(SessionNotFoundError, match=r"^session not found: s1$") as raised:
            bench.run(work)
        assert raised.value.session_id == "s1"
        assert bench.take_steps() == looking()
    assert bench.stored() == set()
    bench.backend.drop("GET")
    with pytest.raises(SessionStoreError, match="get of session s1 failed") as refused:
        bench.run(store.get("s1"))
    assert not isinstance(refused.value, SessionNotFoundError), "who cannot be asked is not missing"


@pytest.mark.parametrize("order", ORDERS)
def test_concurrent_updates(bench: Bench, order: str) -> None:
    """Ten sessions do not disturb each other, in any order. Ten updates of one session do: the last writer wins."""
    store = bench.store()

    async def life(name: str, number: int) -> None:
        await store.save(snapshot(name))
        for _ in range(number):
            await store.increment_relay_count(name, 10)
        await store.update_state(name, "claiming")

    names = [f"s{number}" for number in range(10)]
    answers = race(bench.world, [life(name, number) for number, name in enumerate(names)], order)
    assert answers == [("returned", None)] * 10
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    for number, name in enumerate(names):
        counted = {"state": "claiming", "relay_count": number, "total_compute_units": 10 * number}
        assert bench.fields(name) == fields_of(name, **counted, **stamps)
    assert bench.members(INDEX) == bench.members(state_key("claiming")) == set(names)
    assert bench.stored() == {INDEX, state_key("claiming"), *map(main_key, names)}

    bench.take_steps()
    answers = race(bench.world, [store.increment_relay_count("s0", 10) for _ in range(10)], order)
    assert answers == [("returned", None)] * 10, "nobody is told that a relay was lost"
    count = last_writers_count(bench.world.gate.trace or [])
    assert count == EXTREMES.get(order, count)
    assert bench.fields("s0") == fields_of(
        "s0", state="claiming", relay_count=count, total_compute_units=10 * count, **stamps
    )


@pytest.mark.parametrize("old", TEN_STATES)
def test_state_index_consistency(bench: Bench, old: str) -> None:
    """After any move a session is in one index, that of its state; unless a step after the write fails."""
    store = bench.store()
    for new in TEN_STATES:
        bench.run(store.save(snapshot(state=old)))
        assert bench.filed_under() == {old}
        bench.run(store.update_state("s1", new))
        assert bench.filed_under() == {new} == {bench.fields()["state"]}
        bench.run(store.save(snapshot(state=old)))
        assert bench.filed_under() == {old} == {bench.fields()["state"]}
    other = "proved" if old != "proved" else "active"

    bench.backend.refuse("SREM")
    bench.run(store.save(snapshot(state=other)))
    assert bench.take_logs() == ["warning state_index_cleanup_failed"]
    assert bench.filed_under() == {old, other}, "filed under both, and nobody hears an error"
    assert bench.run(store.get_by_state(old)) == [], "which who lists by state does not see"
    bench.run(store.save(snapshot(state=other)))
    assert bench.filed_under() == {old, other}, "nor does another save mend it"
    bench.run(store.update_state("s1", old))
    assert bench.filed_under() == {old}, "a move back does"

    bench.backend.drop("GET")
    bench.run(store.save(snapshot(state=other)))
    assert bench.take_logs() == ["warning session_lookup_failed"]
    assert bench.filed_under() == {old, other}, "a state that could not be read is not left"


def test_increment_relay_count(bench: Bench) -> None:
    store = bench.store()
    bench.run(store.save(full_snapshot()))
    bench.take_steps()
    for number, units in enumerate((0, 5, 2**40, -3), 1):
        bench.advance(1)
        bench.run(store.increment_relay_count("s1", units))
        assert bench.take_steps() == overwriting()
        assert bench.fields()["relay_count"] == 7 + number
    counted = full_fields(relay_count=11, total_compute_units=4202 + 2**40, last_updated_at=bench.now_text())
    assert bench.fields() == counted
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX), bench.ttl_s(state_key("claimed"))) == (7200, 7196, 7196)

    bench.backend.refuse("SET")
    with pytest.raises(SessionStoreError, match="increment_relay_count of session s1 failed"):
        bench.run(store.increment_relay_count("s1", 5))
    assert bench.fields() == counted
    bench.backend.lose_reply("SET")
    with pytest.raises(SessionStoreError, match="Connection closed"):
        bench.run(store.increment_relay_count("s1", 5))
    assert bench.fields()["relay_count"] == 12, "counted, although the caller was told otherwise"


@pytest.mark.parametrize("state", [*TEN_STATES, "no such state"])
def test_increment_in_a_terminal_state(bench: Bench, state: str) -> None:
    store = bench.store()
    bench.run(store.save(full_snapshot(state=state)))
    bench.advance(1)
    bench.take_steps()
    before = bench.fields()
    if state in FINAL_STATES:
        with pytest.raises(SessionTerminalError, match=rf"^session s1 is in terminal state {state}$") as raised:
            bench.run(store.increment_relay_count("s1", 5))
        assert (raised.value.session_id, raised.value.state) == ("s1", state)
        assert bench.take_steps() == looking()
        assert bench.fields() == before
    else:
        assert state in (*LIVING_STATES, "no such state"), "an unknown state is not terminal"
        bench.run(store.increment_relay_count("s1", 5))
        assert bench.take_steps() == overwriting()
        counted = {"relay_count": 8, "total_compute_units": 4205, "last_updated_at": bench.now_text()}
        assert bench.fields() == before | counted


def test_wal_position(bench: Bench) -> None:
    store = bench.store()
    bench.run(store.save(snapshot()))
    before = bench.fields()
    assert "last_wal_entry_id" not in before
    for entry in ("1700-0", "1700-1", "1600-0", ""):
        bench.advance(1)
        bench.take_steps()
        bench.run(store.update_wal_position("s1", entry))
        assert bench.take_steps() == overwriting(), "backwards too: positions are not compared"
        noted = {"last_wal_entry_id": entry} if entry else {}
        assert bench.fields() == before | noted | {"last_updated_at": bench.now_text()}
        assert bench.run(store.get("s1")).last_wal_entry_id == entry
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX)) == (7200, 7196)
    assert bench.filed_under() == {"active"}


@pytest.mark.parametrize("state", ["active", "proved"])
def test_settlement_metadata(bench: Bench, state: str) -> None:
    store = bench.store()
    bench.run(store.save(snapshot(state=state)))
    before = bench.fields()
    assert not {name for name in before if name.startswith("settlement_")}
    for outcome, height, tx in (("settled", 130, "tx-settle"), ("", 0, "")):
        bench.advance(1)
        bench.take_steps()
        bench.run(store.update_settlement_metadata("s1", outcome, height, tx))
        assert bench.take_steps() == overwriting()
        settled = {"settlement_outcome": outcome, "settlement_height": height, "settlement_tx_hash": tx}
        assert bench.fields() == before | settled | {"last_updated_at": bench.now_text()}, "set to nothing is not unset"
        read = bench.run(store.get("s1"))
        assert (read.settlement_outcome, read.settlement_height, read.settlement_tx_hash) == (outcome, height, tx)
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX)) == (7200, 7198)


def test_by_supplier(bench: Bench) -> None:
    store, other = bench.store(), bench.store(supplier="sup2")
    saved = [full_snapshot(name, state=state) for name, state in (("a", "active"), ("b", "proved"), ("c", "claimed"))]
    for each in reversed(saved):
        bench.run(store.save(each))
    bench.run(other.save(snapshot("d")))
    bench.take_steps()
    assert bench.run(store.get_by_supplier()) == saved
    assert bench.take_steps() == listing(INDEX, "a", "b", "c")
    assert [each.session_id for each in bench.run(other.get_by_supplier())] == ["d"]

    bench.arrange("DEL", main_key("a"))
    bench.arrange("SET", main_key("b"), json.dumps(["no session"]))
    assert bench.run(store.get_by_supplier()) == saved[2:], "no record, or a bad one: left out"
    assert bench.members(INDEX) == {"a", "b", "c"}, "but never removed"
    bench.arrange("DEL", main_key("b"))
    bench.arrange("SADD", main_key("b"), "not a string")
    with pytest.raises(SessionStoreError, match=r"get_by_supplier of supplier sup1 failed.*WRONGTYPE"):
        bench.run(store.get_by_supplier())
    for failing in ("SMEMBERS", "GET"):
        bench.backend.drop(failing)
        with pytest.raises(SessionStoreError, match="get_by_supplier of supplier sup1 failed"):
            bench.run(store.get_by_supplier())
