"""Keeps the sessions of one supplier in Redis, each as one JSON record."""

from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.relay.clock import Clock
from engine.relay.errors import (
    SessionNotFoundError,
    SessionRecordError,
    SessionStoreClosedError,
    SessionStoreError,
    SessionTerminalError,
    redis_failures_in,
)
from engine.relay.interfaces import SessionStorage
from engine.relay.keys import SessionKeys
from engine.relay.record import decode_record, encode_record
from engine.relay.replies import as_bytes, as_ids
from engine.relay.session import SessionSnapshot, is_terminal

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Where sessions are kept, and for how long after they were last written."""

    key_prefix: str = "ha:miner:sessions"
    session_ttl_seconds: int = 2 * 60 * 60


class SessionStore:
    """A STRING for each session, a SET of all ids, and a SET of ids for each state.

    Every update reads the record, changes it here and writes it back whole; nothing stops another
    process, or another task of this one, from writing in between, and the later write wins. Every
    write gives the record its full time to live again and stamps ``last_updated_at``. A failed MULTI
    may have been applied in part (a command of the wrong type) or in whole (a lost reply).
    """

    def __init__(self, redis: Redis, *, supplier: str, config: StoreConfig, clock: Clock) -> None:
        self._redis = redis
        self._keys = SessionKeys(prefix=config.key_prefix, supplier=supplier)
        self._ttl = config.session_ttl_seconds
        self._supplier = supplier
        self._clock = clock
        self._closed = False

    async def save(self, snapshot: SessionSnapshot) -> None:
        """Write the session whole, whether or not it existed, and file it under its state.

        GET main; MULTI { SET main EX, SADD index, EXPIRE index, SADD state, EXPIRE state } EXEC; then,
        outside it, SREM from the set of the state that the GET saw, if that was another. If the GET
        fails, the session counts as new; if the SREM fails, the session stays in two sets. Both are
        logged. ``last_updated_at``, and ``created_at`` if it was unset, change on ``snapshot`` itself,
        even if the write then fails.

        Raises:
            SessionStoreClosedError: The store was closed. Nothing was sent.
            SessionStoreError: The MULTI failed.
        """
        if self._closed:
            raise SessionStoreClosedError
        old_state = await self._stored_state(snapshot.session_id)
        snapshot.stamp(self._clock.now())
        with redis_failures_in("save", f"session {snapshot.session_id}"):
            await self._write_and_file(snapshot)
        if old_state and old_state != snapshot.state:
            await self._leave_state(old_state, snapshot.session_id)

    async def get(self, session_id: str) -> SessionSnapshot | None:
        """The session, or ``None`` if it has no record: GET main.

        Raises:
            SessionRecordError: The record is not JSON of the right shape.
            SessionStoreError: Redis did not answer, or the key is no STRING.
        """
        with redis_failures_in("get", f"session {session_id}"):
            data = await self._redis.get(self._keys.session(session_id))
        return None if data is None else decode_record(as_bytes(data))

    async def get_by_supplier(self) -> list[SessionSnapshot] | None:
        """All sessions in the supplier's index, by id; ``None`` if the index is empty.

        SMEMBERS index, then one plain pipeline of GETs. Ids without a record, or with one that cannot
        be read, are left out of the answer and stay in the index.

        Raises:
            SessionStoreError: Redis failed, or refused a GET; the first that was refused is named.
        """
        return await self._listed("get_by_supplier", self._keys.index())

    async def get_by_state(self, state: str) -> list[SessionSnapshot] | None:
        """The sessions in the state's index that are in that state; ``None`` if the index is empty.

        As :meth:`get_by_supplier`, on the index of the state. A session that the index has but whose
        record tells another state is left out of the answer and stays in the index.

        Raises:
            SessionStoreError: As for :meth:`get_by_supplier`.
        """
        found = await self._listed("get_by_state", self._keys.state(state))
        return None if found is None else [snapshot for snapshot in found if snapshot.state == state]

    async def delete(self, session_id: str) -> None:
        """Remove the session; nothing happens if it has no record, even if an index has its id.

        GET main; MULTI { DEL main, SREM index, SREM state } EXEC, with the state that the GET saw.

        Raises:
            SessionStoreError: The GET or the MULTI failed, or the record cannot be read.
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
        """Move the session to any state, from any state; to the one that it is in, nothing is written.

        GET main; MULTI { SET main EX, SREM state:old, SADD state:new, EXPIRE state:new } EXEC. The time
        to live of the supplier's index is not renewed.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: The GET or the MULTI failed, or the record cannot be read.
        """
        snapshot = await self._existing(session_id)
        old_state = snapshot.state
        if old_state == new_state:
            return
        snapshot.state = new_state
        snapshot.last_updated_at = self._clock.now()
        with redis_failures_in("update_state", f"session {session_id}"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(self._keys.session(session_id), encode_record(snapshot), ex=self._ttl)
                pipe.srem(self._keys.state(old_state), session_id)
                pipe.sadd(self._keys.state(new_state), session_id)
                pipe.expire(self._keys.state(new_state), self._ttl)
                await pipe.execute()

    async def update_settlement_metadata(self, session_id: str, outcome: str, height: int, tx_hash: str) -> None:
        """Note how the chain settled the session: GET main, SET main EX.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: The GET or the SET failed, or the record cannot be read.
        """
        snapshot = await self._existing(session_id)
        snapshot.settlement_outcome = outcome
        snapshot.settlement_height = height
        snapshot.settlement_tx_hash = tx_hash
        await self._overwrite("update_settlement_metadata", snapshot)

    async def update_wal_position(self, session_id: str, entry_id: str) -> None:
        """Note the last log entry that was processed: GET main, SET main EX.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: The GET or the SET failed, or the record cannot be read.
        """
        snapshot = await self._existing(session_id)
        snapshot.last_wal_entry_id = entry_id
        await self._overwrite("update_wal_position", snapshot)

    async def increment_relay_count(self, session_id: str, compute_units: int) -> None:
        """Count one more relay, worth ``compute_units``: GET main, SET main EX.

        Not atomic: of two concurrent calls one may be lost, and with it any other change to the session
        that was written between the GET and the SET.

        Raises:
            SessionNotFoundError: It has no record.
            SessionTerminalError: It is in a terminal state. Nothing was written.
            SessionStoreError: The GET or the SET failed, or the record cannot be read.
        """
        snapshot = await self._existing(session_id)
        if is_terminal(snapshot.state):
            raise SessionTerminalError(session_id, snapshot.state)
        snapshot.relay_count += 1
        snapshot.total_compute_units += compute_units
        await self._overwrite("increment_relay_count", snapshot)

    async def close(self) -> None:
        """Refuse further :meth:`save` calls, and no others."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    async def _stored_state(self, session_id: str) -> str | None:
        try:
            stored = await self.get(session_id)
        except SessionStoreError as error:
            _log.warning("session_lookup_failed", supplier=self._supplier, session_id=session_id, error=str(error))
            return None
        return None if stored is None else stored.state

    async def _write_and_file(self, snapshot: SessionSnapshot) -> None:
        state_key = self._keys.state(snapshot.state)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._keys.session(snapshot.session_id), encode_record(snapshot), ex=self._ttl)
            pipe.sadd(self._keys.index(), snapshot.session_id)
            pipe.expire(self._keys.index(), self._ttl)
            pipe.sadd(state_key, snapshot.session_id)
            pipe.expire(state_key, self._ttl)
            await pipe.execute()

    async def _leave_state(self, state: str, session_id: str) -> None:
        try:
            await self._redis.srem(self._keys.state(state), session_id)
        except RedisError as error:
            _log.warning(
                "state_index_cleanup_failed",
                supplier=self._supplier,
                session_id=session_id,
                state=state,
                error=str(error),
            )

    async def _listed(self, operation: str, index: str) -> list[SessionSnapshot] | None:
        with redis_failures_in(operation, f"supplier {self._supplier}"):
            session_ids = as_ids(await self._redis.smembers(index))
            if not session_ids:
                return None
            async with self._redis.pipeline(transaction=False) as pipe:
                for session_id in session_ids:
                    pipe.get(self._keys.session(session_id))
                # Raises for the first GET that was refused; the others have been answered by then.
                replies: list[bytes | None] = await pipe.execute()
        return [snapshot for data in replies if (snapshot := _readable(data)) is not None]

    async def _existing(self, session_id: str) -> SessionSnapshot:
        snapshot = await self.get(session_id)
        if snapshot is None:
            raise SessionNotFoundError(session_id)
        return snapshot

    async def _overwrite(self, operation: str, snapshot: SessionSnapshot) -> None:
        snapshot.last_updated_at = self._clock.now()
        with redis_failures_in(operation, f"session {snapshot.session_id}"):
            await self._redis.set(self._keys.session(snapshot.session_id), encode_record(snapshot), ex=self._ttl)


def _readable(data: bytes | None) -> SessionSnapshot | None:
    if data is None:
        return None
    try:
        return decode_record(data)
    except SessionRecordError:
        return None


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[SessionStorage] = SessionStore
