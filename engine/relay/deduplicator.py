"""Remembers which relays were already counted: in Redis, and in a cache of this process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.relay.errors import DeduplicationError, DeduplicatorClosedError
from engine.relay.interfaces import RelayDeduplication
from engine.relay.keys import relays_of_session
from engine.relay.metrics import DeduplicatorMetrics

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeduplicatorConfig:
    """How long and how much to remember. A field that is exactly zero (or empty) takes its default.

    ``local_cache_size`` has no default: it is the largest number of relays of one session that this
    process keeps, and zero means no bound.
    """

    key_prefix: str = ""
    ttl_blocks: int = 0
    block_time_seconds: int = 0
    cleanup_interval_seconds: float = 0
    local_cache_size: int = 0

    def with_defaults(self) -> "DeduplicatorConfig":
        """The same, with ``ha:miner:dedup``, 10 blocks, 30 s and 60 s where nothing was given."""
        return replace(
            self,
            key_prefix=self.key_prefix or "ha:miner:dedup",
            ttl_blocks=self.ttl_blocks or 10,
            block_time_seconds=self.block_time_seconds or 30,
            cleanup_interval_seconds=self.cleanup_interval_seconds or 60,
        )

    @property
    def ttl_seconds(self) -> int:
        """How long Redis remembers a session after the last relay that was marked in it."""
        return self.ttl_blocks * self.block_time_seconds


class Deduplicator:
    """One SET of lowercase hex hashes for each session, behind a cache of this process (L1).

    L1 maps a session to hashes that Redis was seen to hold. Its entries never expire and are not
    invalidated by other processes: an L1 hit stands even when Redis has forgotten the relay. Only
    :meth:`start` looks at whether the deduplicator is closed; all else goes on working.
    """

    def __init__(self, redis: Redis, *, config: DeduplicatorConfig, metrics: DeduplicatorMetrics) -> None:
        self._redis = redis
        self._config = config.with_defaults()
        self._metrics = metrics
        self._local: dict[str, set[str]] = {}
        self._closed = False
        self._cleaner: asyncio.Task[None] | None = None

    async def is_duplicate(self, relay_hash: bytes, session_id: str) -> bool:
        """Whether the relay was marked in the session. Never writes Redis.

        A hit in L1 sends nothing. Otherwise SISMEMBER; a member is kept in L1.

        Raises:
            DeduplicationError: Redis did not answer. L1 is unchanged.
        """
        member = relay_hash.hex()
        if member in self._local.get(session_id, ()):
            self._metrics.local_hits.labels(session_id).inc()
            return True
        try:
            known = await self._redis.sismember(self._key(session_id), member)
        except RedisError as error:
            raise self._failed("redis_check", session_id, error) from error
        if known:
            self._remember(session_id, member)
            self._metrics.redis_hits.labels(session_id).inc()
            return True
        self._metrics.misses.labels(session_id).inc()
        return False

    async def mark_processed(self, relay_hash: bytes, session_id: str) -> None:
        """Remember the relay, and keep the session's whole set for another time to live.

        SADD and EXPIRE travel in one plain pipeline and are not atomic: if the second fails, the relay
        is remembered without expiry although the caller gets an error. A relay that was marked before
        is marked again, and counted again in ``marked``.

        Raises:
            DeduplicationError: One of the two failed. L1 is unchanged.
        """
        await self._mark([relay_hash.hex()], session_id, operation="redis_mark")

    async def mark_processed_batch(self, relay_hashes: Sequence[bytes], session_id: str) -> None:
        """Remember all relays with one SADD and one EXPIRE, as :meth:`mark_processed` does one.

        An empty batch sends nothing. ``marked`` grows by the number given, repetitions included.

        Raises:
            DeduplicationError: One of the two failed. L1 is unchanged.
        """
        if relay_hashes:
            members = [relay_hash.hex() for relay_hash in relay_hashes]
            await self._mark(members, session_id, operation="redis_batch_mark")

    async def cleanup_session(self, session_id: str) -> None:
        """Forget the session: DEL its set, then drop it from this process's L1, and from no other's.

        Raises:
            DeduplicationError: Redis did not answer. L1 is unchanged.
        """
        try:
            await self._redis.delete(self._key(session_id))
        except RedisError as error:
            raise DeduplicationError(f"cleanup of session {session_id} failed: {error}") from error
        self._local.pop(session_id, None)

    async def start(self) -> None:
        """Start the task that periodically drops oversized sessions from L1.

        A second call is not guarded: it starts a second task, and :meth:`close` ends only that one.

        Raises:
            DeduplicatorClosedError: It was closed.
        """
        if self._closed:
            raise DeduplicatorClosedError
        self._cleaner = asyncio.create_task(self._clean_periodically())

    async def close(self) -> None:
        """End the periodic task and wait for its end. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._cleaner is not None:
            self._cleaner.cancel()
            await asyncio.wait({self._cleaner})

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def local_entries(self) -> dict[str, frozenset[str]]:
        """A copy of L1: the hashes, as hex, that this process keeps for each session."""
        return {session_id: frozenset(members) for session_id, members in self._local.items()}

    def _key(self, session_id: str) -> str:
        return relays_of_session(self._config.key_prefix, session_id)

    async def _mark(self, members: list[str], session_id: str, *, operation: str) -> None:
        key = self._key(session_id)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.sadd(key, *members)
                pipe.expire(key, self._config.ttl_seconds)
                await pipe.execute()
        except RedisError as error:
            raise self._failed(operation, session_id, error) from error
        for member in members:
            self._remember(session_id, member)
        self._metrics.marked.labels(session_id).inc(len(members))

    def _remember(self, session_id: str, member: str) -> None:
        bound = self._config.local_cache_size
        kept = self._local.setdefault(session_id, set())
        if bound <= 0 or len(kept) < bound:
            kept.add(member)

    def _failed(self, operation: str, session_id: str, error: RedisError) -> DeduplicationError:
        self._metrics.errors.labels(session_id, operation).inc()
        return DeduplicationError(f"{operation} in session {session_id} failed: {error}")

    async def _clean_periodically(self) -> None:
        while True:
            await asyncio.sleep(self._config.cleanup_interval_seconds)
            self._drop_oversized()

    def _drop_oversized(self) -> None:
        bound = self._config.local_cache_size
        if bound == 0:
            return
        oversized = [session_id for session_id, kept in self._local.items() if len(kept) > 2 * bound]
        for session_id in oversized:
            del self._local[session_id]
        if oversized:
            _log.debug("dedup_local_cache_cleaned", sessions_dropped=len(oversized))


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[RelayDeduplication] = Deduplicator
