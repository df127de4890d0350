"""Keeps the sessions of one supplier in Redis, each as one HASH."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT

from engine.relay.clock import Clock
from engine.relay.errors import (
    SessionNotFoundError,
    SessionRecordError,
    SessionStoreClosedError,
    SessionStoreError,
    SessionTerminalError,
    redis_failures_in,
)
from engine.relay.interfaces import CreatingSessionStorage
from engine.relay.keys import SessionKeys
from engine.relay.record import decode_record
from engine.relay.refactored.fields import HashFields, cleared_fields, decode_session, encode_metadata, encode_session
from engine.relay.refactored.scripts import CREATE_IF_ABSENT, INCREMENT_RELAY_COUNT, UPDATE_STATE
from engine.relay.refactored.states import TERMINAL_STATES
from engine.relay.replies import as_bytes, as_ids
from engine.relay.session import SessionSnapshot
from engine.relay.store import StoreConfig
from engine.relay.timestamps import format_timestamp

T = TypeVar("T")

_TERMINAL_STATES = sorted(TERMINAL_STATES)

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class HashSessionStore:
    """A HASH for each session, a SET of all ids, and a SET of ids for each state.

    Counters change in one script only and are never written back, so no relay is lost between a read
    and a write. A record that the first layout left behind (a STRING of JSON) can be read, and is
    replaced by a hash by the first write that meets it. The sets of the states follow the hash in a
    step of their own, except in :meth:`save`: until then, or for good if that step fails, a session is
    filed under a state that it has left.
    """

    def __init__(self, redis: Redis, *, supplier: str, config: StoreConfig, clock: Clock) -> None:
        self._redis = redis
        self._keys = SessionKeys(prefix=config.key_prefix, supplier=supplier)
        self._ttl = config.session_ttl_seconds
        self._supplier = supplier
        self._clock = clock
        self._closed = False

    async def save(self, snapshot: SessionSnapshot) -> None:
        """Write the session's metadata, and its counters too if it did not exist, and file it.

        :meth:`get`; MULTI { HSET main, HDEL main (optional fields that are cleared), EXPIRE main, SADD
        index, EXPIRE index, SADD state, EXPIRE state, SREM state:old (if the ``get`` saw another) } EXEC.
        A new session needs no HDEL; a legacy record is replaced whole: DEL main, HSET main. If the
        ``get`` fails, that is logged and the session counts as new. ``last_updated_at``, and
        ``created_at`` if it was unset, change on ``snapshot`` itself, even if the write then fails.

        Raises:
            SessionStoreClosedError: The store was closed. Nothing was sent.
            SessionStoreError: The MULTI failed.
        """
        if self._closed:
            raise SessionStoreClosedError
        kind, stored = await self._read_or_warn(snapshot.session_id)
        snapshot.stamp(self._clock.now())
        with redis_failures_in("save", f"session {snapshot.session_id}"):
            await self._write(snapshot, over=kind, old_state=stored.state if stored else "")

    async def create_if_absent(self, snapshot: SessionSnapshot) -> bool:
        """Write the session unless it exists, and tell whether this call did: of many exactly one does.

        One script { EXISTS; HSET, EXPIRE }; the winner then adds MULTI { SADD index, EXPIRE index, SADD
        state, EXPIRE state } EXEC. If that fails, it is logged, and the session is in no index. The
        timestamps change on ``snapshot`` itself, won or not.

        Raises:
            SessionStoreError: The script failed.
        """
        snapshot.stamp(self._clock.now())
        pairs = [part for pair in encode_session(snapshot).items() for part in pair]
        with redis_failures_in("create_if_absent", f"session {snapshot.session_id}"):
            created = await self._eval(CREATE_IF_ABSENT, snapshot.session_id, self._ttl, *pairs)
        if not created:
            return False
        await self._file(snapshot)
        return True

    async def get(self, session_id: str) -> SessionSnapshot | None:
        """The session, or ``None`` if it has no record: TYPE main, then HGETALL, or GET of a legacy record.

        Raises:
            SessionRecordError: The record cannot be read, or the key is neither HASH nor STRING.
            SessionStoreError: Redis did not answer.
        """
        _, snapshot = await self._read(session_id)
        return snapshot

    async def get_by_supplier(self) -> list[SessionSnapshot] | None:
        """All sessions in the supplier's index, by id; ``None`` if the index is empty.

        SMEMBERS index, then :meth:`get` one by one. Ids without a record, or whose ``get`` fails, are
        left out of the answer and stay in the index; a failure is logged.

        Raises:
            SessionStoreError: The SMEMBERS failed.
        """
        return await self._listed("get_by_supplier", self._keys.index())

    async def get_by_state(self, state: str) -> list[SessionSnapshot] | None:
        """The sessions in the state's index that are in that state; ``None`` if the index is empty.

        As :meth:`get_by_supplier`, on the index of the state.

        Raises:
            SessionStoreError: The SMEMBERS failed.
        """
        found = await self._listed("get_by_state", self._keys.state(state))
        return None if found is None else [snapshot for snapshot in found if snapshot.state == state]

    async def delete(self, session_id: str) -> None:
        """Remove the session; nothing happens if it has no record, even if an index has its id.

        :meth:`get`; MULTI { DEL main, SREM index, SREM state } EXEC, with the state that the ``get`` saw.

        Raises:
            SessionStoreError: The ``get`` or the MULTI failed.
        """
        snapshot = await self.get(session_id)
        if snapshot is None:
            return
        with redis_failures_in("delete", f"session {session_id}"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(self._keys.session(session_id))
                pipe.srem(self._keys.index(), session_id)
                pipe.srem(self._keys.state(snapshot.state), session_id)
                await pipe.execute()

    async def update_state(self, session_id: str, new_state: str) -> None:
        """Move the session to any state, from any state.

        One script { EXISTS, HGET state, HSET state and time, EXPIRE }; then, if the state was another,
        MULTI { SADD state:new, EXPIRE state:new, SREM state:old } EXEC, whose failure is logged.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: The script failed.
        """
        with redis_failures_in("update_state", f"session {session_id}"):
            old_state = await self._on_hash(session_id, lambda: self._move(session_id, new_state))
        if old_state != new_state:
            await self._refile(session_id, old_state, new_state)

    async def update_settlement_metadata(self, session_id: str, outcome: str, height: int, tx_hash: str) -> None:
        """Note how the chain settled the session: MULTI { HSET main, EXPIRE main } EXEC.

        Does not look first: of a session without a record it leaves a hash of these fields only.

        Raises:
            SessionStoreError: The MULTI failed.
        """
        settlement: HashFields = {
            "settlement_outcome": outcome,
            "settlement_height": height,
            "settlement_tx_hash": tx_hash,
        }
        await self._set_fields("update_settlement_metadata", session_id, settlement)

    async def update_wal_position(self, session_id: str, entry_id: str) -> None:
        """Note the last log entry that was processed, as :meth:`update_settlement_metadata` does its part.

        Raises:
            SessionStoreError: The MULTI failed.
        """
        await self._set_fields("update_wal_position", session_id, {"last_wal_entry_id": entry_id})

    async def increment_relay_count(self, session_id: str, compute_units: int) -> None:
        """Count one more relay, worth ``compute_units``, in one script.

        { EXISTS, HGET state, HINCRBY relay_count, HINCRBY total_compute_units, HSET time, EXPIRE }. If
        the second HINCRBY overflows, the relay is counted and its units are not.

        Raises:
            SessionNotFoundError: It has no record.
            SessionTerminalError: It is in a terminal state. Nothing was written.
            SessionStoreError: The script failed.
        """
        with redis_failures_in("increment_relay_count", f"session {session_id}"):
            await self._on_hash(session_id, lambda: self._count(session_id, compute_units))

    async def close(self) -> None:
        """Refuse further :meth:`save` calls, and no others."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    async def _read(self, session_id: str) -> tuple[bytes, SessionSnapshot | None]:
        """The type of the session's key, and the session."""
        key = self._keys.session(session_id)
        with redis_failures_in("get", f"session {session_id}"):
            kind = as_bytes(await self._redis.type(key))
            if kind == b"none":
                return kind, None
            if kind == b"hash":
                fields = await self._redis.hgetall(key)
                hash_fields = {as_bytes(name): as_bytes(value) for name, value in fields.items()}
                return kind, decode_session(hash_fields) if hash_fields else None
            if kind == b"string":
                data = await self._redis.get(key)
                return kind, None if data is None else decode_record(as_bytes(data))
        raise SessionRecordError(f"session {session_id} is kept in a {kind.decode()}, expected a hash")

    async def _read_or_warn(self, session_id: str) -> tuple[bytes, SessionSnapshot | None]:
        try:
            return await self._read(session_id)
        except SessionStoreError as error:
            self._warn("session_lookup_failed", session_id, error)
            return b"none", None

    async def _write(self, snapshot: SessionSnapshot, *, over: bytes, old_state: str) -> None:
        """Write ``snapshot`` over a key of the type ``over``, and file it, in one MULTI."""
        key = self._keys.session(snapshot.session_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            if over == b"hash":
                pipe.hset(key, mapping=encode_metadata(snapshot))
                if cleared := cleared_fields(snapshot):
                    pipe.hdel(key, *cleared)
            else:
                if over == b"string":
                    pipe.delete(key)
                pipe.hset(key, mapping=encode_session(snapshot))
            pipe.expire(key, self._ttl)
            self._queue_filing(pipe, snapshot)
            if old_state and old_state != snapshot.state:
                pipe.srem(self._keys.state(old_state), snapshot.session_id)
            await pipe.execute()

    def _queue_filing(self, pipe: Pipeline, snapshot: SessionSnapshot) -> None:
        pipe.sadd(self._keys.index(), snapshot.session_id)
        pipe.expire(self._keys.index(), self._ttl)
        pipe.sadd(self._keys.state(snapshot.state), snapshot.session_id)
        pipe.expire(self._keys.state(snapshot.state), self._ttl)

    async def _file(self, snapshot: SessionSnapshot) -> None:
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                self._queue_filing(pipe, snapshot)
                await pipe.execute()
        except RedisError as error:
            self._warn("session_not_indexed", snapshot.session_id, error)

    async def _refile(self, session_id: str, old_state: str, new_state: str) -> None:
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.sadd(self._keys.state(new_state), session_id)
                pipe.expire(self._keys.state(new_state), self._ttl)
                if old_state:
                    pipe.srem(self._keys.state(old_state), session_id)
                await pipe.execute()
        except RedisError as error:
            self._warn("state_index_update_failed", session_id, error)

    async def _listed(self, operation: str, index: str) -> list[SessionSnapshot] | None:
        with redis_failures_in(operation, f"supplier {self._supplier}"):
            session_ids = as_ids(await self._redis.smembers(index))
        if not session_ids:
            return None
        found = [await self._read_or_warn(session_id) for session_id in session_ids]
        return [snapshot for _, snapshot in found if snapshot is not None]

    async def _move(self, session_id: str, new_state: str) -> str:
        """Set the state; the one before, empty if there was none."""
        old_state: bytes | None = await self._eval(UPDATE_STATE, session_id, new_state, self._now(), self._ttl)
        if old_state is None:
            raise SessionNotFoundError(session_id)
        return old_state.decode(errors="replace")

    async def _count(self, session_id: str, compute_units: int) -> None:
        reply: list[bytes] = await self._eval(
            INCREMENT_RELAY_COUNT, session_id, compute_units, self._now(), self._ttl, *_TERMINAL_STATES
        )
        match reply:
            case [b"missing"]:
                raise SessionNotFoundError(session_id)
            case [b"terminal", state]:
                raise SessionTerminalError(session_id, state.decode())

    async def _set_fields(self, operation: str, session_id: str, fields: HashFields) -> None:
        async def write() -> None:
            key = self._keys.session(session_id)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=fields | {"last_updated_at": self._now()})
                pipe.expire(key, self._ttl)
                await pipe.execute()

        with redis_failures_in(operation, f"session {session_id}"):
            await self._on_hash(session_id, write)

    async def _on_hash(self, session_id: str, write: Callable[[], Awaitable[T]]) -> T:
        """``write``; if Redis refuses because the record is a legacy one, migrate that and write again."""
        try:
            return await write()
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        await self._migrate(session_id)
        return await write()

    async def _migrate(self, session_id: str) -> None:
        """Replace a legacy record by a hash that says the same."""
        kind, snapshot = await self._read(session_id)
        if kind == b"string" and snapshot is not None:
            await self._write(snapshot, over=kind, old_state=snapshot.state)

    async def _eval(self, script: str, session_id: str, *arguments: EncodableT) -> Any:
        return await self._redis.eval(script, 1, self._keys.session(session_id), *arguments)

    def _now(self) -> str:
        return format_timestamp(self._clock.now())

    def _warn(self, event: str, session_id: str, error: Exception) -> None:
        _log.warning(event, supplier=self._supplier, session_id=session_id, error=str(error))


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[CreatingSessionStorage] = HashSessionStore
