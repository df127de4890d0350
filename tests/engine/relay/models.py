"""What deduplicator, store and coordinator do: pure models that share the services' words and none of their code.

A model answers what the service should answer (a value, or a word for an error), and tells what Redis should hold. Its
time is a number of milliseconds. ``refactored`` says which of the two revisions it tells.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

DEDUP_TTL_MS = 300_000
SESSION_TTL_MS = 7_200_000
CLEANING_MS = 60_000

FINAL = {
    *("claim_window_closed", "claim_tx_error", "proved"),
    *("probabilistic_proved", "proof_window_closed", "proof_tx_error"),
}
FINAL_SINCE = {"claim_skipped", "claim_missing"}
LEFT_OUT_WHEN_EMPTY = {"claimed_root_hash", "claim_tx_hash", "proof_tx_hash", "last_wal_entry_id"}
LEFT_OUT_WHEN_UNSET = {"settlement_outcome", "settlement_height", "settlement_tx_hash"}
COUNTERS = ("relay_count", "total_compute_units")

Session = dict[str, Any]
"""The fields of a session; moments are milliseconds, and ``None`` where they were never set."""


@dataclass(slots=True)
class Key:
    """What Redis holds under a key, and until when; none: for ever."""

    value: Any
    expires_ms: int | None


class Keys:
    """A Redis, as far as the services use it. A key lives through the millisecond in which it expires."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._keys: dict[str, Key] = {}

    def pass_time(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        gone = [name for name, key in self._keys.items() if key.expires_ms is not None and key.expires_ms < self.now_ms]
        for name in gone:
            del self._keys[name]

    def get(self, name: str) -> Any:
        return self._keys[name].value if name in self._keys else None

    def put(self, name: str, value: Any, ttl_ms: int) -> None:
        self._keys[name] = Key(value, self.now_ms + ttl_ms)

    def drop(self, name: str) -> None:
        self._keys.pop(name, None)

    def add(self, name: str, *members: str) -> None:
        self._keys.setdefault(name, Key(set(), None)).value.update(members)

    def remove(self, name: str, member: str) -> None:
        if name in self._keys:
            self._keys[name].value.discard(member)
            if not self._keys[name].value:
                del self._keys[name]

    def expire(self, name: str, ttl_ms: int) -> None:
        if name in self._keys:
            self._keys[name].expires_ms = self.now_ms + ttl_ms

    def everything(self) -> dict[str, tuple[Any, int | None]]:
        """All keys, each with its value and what is left of its time to live."""
        return {
            name: (key.value, None if key.expires_ms is None else key.expires_ms - self.now_ms)
            for name, key in self._keys.items()
        }


@dataclass(slots=True)
class DedupProcess:
    """What one process remembers and has counted."""

    cache: dict[str, set[str]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)


class DedupModel:
    """Deduplicators of some processes, the first of which was started at once, on one Redis."""

    def __init__(self, *, processes: int, size: int, refactored: bool) -> None:
        self.redis = Keys()
        self.processes = [DedupProcess() for _ in range(processes)]
        self._size = size
        self._refactored = refactored

    def pass_time(self, milliseconds: int) -> None:
        cleanings = (self.redis.now_ms + milliseconds) // CLEANING_MS - self.redis.now_ms // CLEANING_MS
        self.redis.pass_time(milliseconds)
        if cleanings and self._size != 0:
            kept = self.processes[0].cache
            for session in [session for session, relays in kept.items() if len(relays) > 2 * self._size]:
                del kept[session]

    def is_duplicate(self, process: DedupProcess, relay: str, session: str, *, refused: str) -> bool | str:
        if relay in process.cache.get(session, ()):
            process.counted[f"local_hits {session}"] += 1
            return True
        if refused == "SISMEMBER":
            process.counted[f"errors redis_check {session}"] += 1
            return "failed"
        known = relay in (self.redis.get(session) or ())
        if known:
            self._keep(process, session, relay)
        process.counted[f"{'redis_hits' if known else 'misses'} {session}"] += 1
        return known

    def mark(self, process: DedupProcess, relays: list[str], session: str, *, word: str, refused: str) -> Any:
        """``mark_processed`` or ``mark_processed_batch``, by the ``word`` under which its errors are counted."""
        if not relays:
            return None
        fresh = set(relays) - (self.redis.get(session) or set())
        if refused != "SADD":
            self.redis.add(session, *relays)
        if refused != "EXPIRE":
            self.redis.expire(session, DEDUP_TTL_MS)
        if refused in ("SADD", "EXPIRE"):
            process.counted[f"errors {word} {session}"] += 1
            return "failed"
        for relay in relays:
            self._keep(process, session, relay)
        process.counted[f"marked {session}"] += len(relays)
        return bool(fresh) if self._refactored and word == "redis_mark" else None

    def cleanup(self, process: DedupProcess, session: str, *, refused: str) -> str | None:
        if refused == "DEL":
            return "failed"
        self.redis.drop(session)
        process.cache.pop(session, None)
        return None

    def _keep(self, process: DedupProcess, session: str, relay: str) -> None:
        if self._refactored:
            return
        kept = process.cache.setdefault(session, set())
        if self._size <= 0 or len(kept) < self._size:
            kept.add(relay)


class StoreModel:
    """The sessions of one supplier. Keys are ``main s1``, ``index`` and ``state active``."""

    def __init__(self, *, refactored: bool) -> None:
        self.redis = Keys()
        self.closed = False
        self._refactored = refactored
        self._final = FINAL | FINAL_SINCE if refactored else FINAL

    # Reading.

    def get(self, session_id: str) -> Session | None:
        found: Session | None = self.redis.get(f"main {session_id}")
        return found

    def by_supplier(self) -> list[Session] | None:
        return self._listed("index")

    def by_state(self, state: str) -> list[Session] | None:
        found = self._listed(f"state {state}")
        return None if found is None else [session for session in found if session.get("state", "") == state]

    def _listed(self, index: str) -> list[Session] | None:
        ids = self.redis.get(index)
        return ids and [session for name in sorted(ids) if (session := self.get(name)) is not None]

    # Writing.

    def save(self, given: Session, *, refused: str = "") -> str | None:
        """``given`` is stamped, as the caller's own. ``refused``: which of look, write and leave goes wrong."""
        if self.closed:
            return "closed"
        name = given["session_id"]
        old = None if refused == "look" else self.get(name)
        self._stamp(given)
        if refused == "write":
            return "failed"
        self._put(name, self._merged(given, old, unread=self.get(name) if refused == "look" else None))
        self._file(name, given["state"])
        left = old.get("state", "") if old else ""
        if left and left != given["state"] and (refused != "leave" or self._refactored):
            self.redis.remove(f"state {left}", name)
        return None

    def create_if_absent(self, given: Session) -> bool:
        self._stamp(given)
        if self.get(given["session_id"]) is not None:
            return False
        self._put(given["session_id"], present(given))
        self._file(given["session_id"], given["state"])
        return True

    def delete(self, name: str) -> None:
        session = self.get(name)
        if session is not None:
            self.redis.drop(f"main {name}")
            self.redis.remove("index", name)
            self.redis.remove(f"state {session.get('state', '')}", name)

    def update_state(self, name: str, new: str, *, refused: str = "") -> str | None:
        """``refused``: whether the move of the indexes goes wrong, which as it is is the write itself."""
        session = self.get(name)
        if session is None:
            return "missing"
        old = session.get("state", "")
        if old == new and not self._refactored:
            return None
        if old != new and refused and not self._refactored:
            return "failed"
        self._put(name, session | {"state": new, "last_updated_at": self.redis.now_ms})
        if old != new and not refused:
            self.redis.add(f"state {new}", name)
            self.redis.expire(f"state {new}", SESSION_TTL_MS)
            self.redis.remove(f"state {old}", name)
        return None

    def note(self, name: str, **fields: Any) -> str | None:
        """``update_wal_position`` and ``update_settlement_metadata``."""
        session = self.get(name)
        if session is None and not self._refactored:
            return "missing"
        self._put(name, (session or {}) | fields | {"last_updated_at": self.redis.now_ms})
        return None

    def increment_relay_count(self, name: str, units: int) -> str | None:
        session = self.get(name)
        if session is None:
            return "missing"
        if session.get("state") in self._final:
            return "terminal"
        counted = {"relay_count": 1, "total_compute_units": units, "last_updated_at": self.redis.now_ms}
        before = {counter: session.get(counter, 0) for counter in COUNTERS}
        self._put(name, session | counted | {counter: before[counter] + counted[counter] for counter in COUNTERS})
        return None

    def _stamp(self, given: Session) -> None:
        given["last_updated_at"] = self.redis.now_ms
        if given["created_at"] is None:
            given["created_at"] = self.redis.now_ms

    def _merged(self, given: Session, old: Session | None, *, unread: Session | None) -> Session:
        """What a save leaves behind: after the refactor, counters that were there, or what it could not read."""
        new = present(given)
        if not self._refactored:
            return new
        if old is None:
            return (unread or {}) | new
        without = {name: value for name, value in new.items() if name not in COUNTERS}
        return without | {counter: old[counter] for counter in COUNTERS if counter in old}

    def _put(self, name: str, session: Session) -> None:
        self.redis.put(f"main {name}", session, SESSION_TTL_MS)

    def _file(self, name: str, state: str) -> None:
        for index in ("index", f"state {state}"):
            self.redis.add(index, name)
            self.redis.expire(index, SESSION_TTL_MS)


def present(given: Session) -> Session:
    """The fields of ``given`` that are written down at all."""
    return {
        name: value
        for name, value in given.items()
        if not (name in LEFT_OUT_WHEN_EMPTY and not value) and not (name in LEFT_OUT_WHEN_UNSET and value is None)
    }


class CoordinatorModel:
    """A coordinator on a store. ``told`` are the calls of its callbacks so far."""

    def __init__(self, *, refactored: bool) -> None:
        self.store = StoreModel(refactored=refactored)
        self.told: list[tuple[Any, ...]] = []
        self.closed = False
        self._refactored = refactored

    def on_relay_processed(self, new: Session, units: int) -> str | None:
        if self.closed:
            return "closed"
        name = new["session_id"]
        if self.store.get(name) is None and new["supplier_operator_address"] and new["service_id"]:
            self.on_session_created(new)
        outcome = self.store.increment_relay_count(name, units)
        return outcome if self._refactored and outcome != "terminal" else None

    def on_session_created(self, new: Session) -> str | None:
        if self.closed:
            return "closed"
        created = self.store.create_if_absent(new) if self._refactored else self.store.save(new) is None
        if created:
            self.told.append(("created", new["session_id"]))
        return None

    def on_session_claimed(self, name: str, root: str, tx: str) -> str | None:
        return self._noted(name, claimed_root_hash=root, claim_tx_hash=tx, state="claimed")

    def on_proof_submitted(self, name: str, tx: str) -> str | None:
        return self._noted(name, proof_tx_hash=tx)

    def on_session_proved(self, name: str) -> str | None:
        if self.closed:
            return "closed"
        self.store.update_state(name, "proved")
        self.told.append(("terminal", name, "proved"))
        return None

    def on_finished(self, name: str, state: str) -> str | None:
        """The five operations that end a session in a state."""
        if self.closed:
            return "closed"
        if self._refactored and self._succeeded(self.store.get(name) or {}, state):
            return None
        outcome = self.store.update_state(name, state)
        if outcome is None:
            self.told.append(("terminal", name, state))
        return outcome

    @staticmethod
    def _succeeded(session: Session, failure: str) -> bool:
        if failure == "claim_tx_error":
            return session.get("state") == "claimed" or "claim_tx_hash" in session
        if failure == "proof_tx_error":
            return session.get("state") in ("proved", "probabilistic_proved") or "proof_tx_hash" in session
        return False

    def _noted(self, name: str, **fields: Any) -> str | None:
        if self.closed:
            return "closed"
        session = self.store.get(name)
        if session is None:
            return "missing"
        return self.store.save(session | fields)
