"""Remembers which relays were already counted: in Redis, and nowhere else."""

from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.relay.deduplicator import DeduplicatorConfig
from engine.relay.errors import DeduplicationError, DeduplicatorClosedError
from engine.relay.interfaces import RelayDeduplication
from engine.relay.keys import relays_of_session
from engine.relay.metrics import DeduplicatorMetrics


class UncachedDeduplicator:
    """One SET of raw hashes for each session, and no memory of its own.

    Only :meth:`start` looks at whether it is closed. ``local_cache_size`` and
    ``cleanup_interval_seconds`` of the configuration mean nothing here.
    """

    def __init__(self, redis: Redis, *, config: DeduplicatorConfig, metrics: DeduplicatorMetrics) -> None:
        self._redis = redis
        self._config = config.with_defaults()
        self._metrics = metrics
        self._closed = False

    async def is_duplicate(self, relay_hash: bytes, session_id: str) -> bool:
        """Whether the relay was marked in the session: SISMEMBER.

        Raises:
            DeduplicationError: Redis did not answer.
        """
        # The client's types know members as text only; it sends bytes as they are.
        member = cast("str", relay_hash)
        try:
            known = await self._redis.sismember(self._key(session_id), member)
        except RedisError as error:
            raise self._failed("redis_check", session_id, error) from error
        counter = self._metrics.redis_hits if known else self._metrics.misses
        counter.labels(session_id).inc()
        return bool(known)

    async def mark_processed(self, relay_hash: bytes, session_id: str) -> bool:
        """Remember the relay, and tell whether it was new: of concurrent callers exactly one hears yes.

        SADD and EXPIRE travel in one plain pipeline and are not atomic: if the second fails, the relay
        is remembered, perhaps without expiry, and nobody hears yes.

        Raises:
            DeduplicationError: One of the two failed.
        """
        return await self._mark([relay_hash], session_id, operation="redis_mark") == 1

    async def mark_processed_batch(self, relay_hashes: Sequence[bytes], session_id: str) -> None:
        """Remember all relays with one SADD and one EXPIRE; an empty batch sends nothing.

        Raises:
            DeduplicationError: One of the two failed.
        """
        if relay_hashes:
            await self._mark(relay_hashes, session_id, operation="redis_batch_mark")

    async def cleanup_session(self, session_id: str) -> None:
        """Forget the session: DEL its set.

        Raises:
            DeduplicationError: Redis did not answer.
        """
        try:
            await self._redis.delete(self._key(session_id))
        except RedisError as error:
            raise DeduplicationError(f"cleanup of session {session_id} failed: {error}") from error

    async def start(self) -> None:
        """Do nothing, since there is no cache to clean.

        Raises:
            DeduplicatorClosedError: It was closed.
        """
        if self._closed:
            raise DeduplicatorClosedError

    async def close(self) -> None:
        """Refuse to be started again. Everything else goes on working."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def _key(self, session_id: str) -> str:
        return relays_of_session(self._config.key_prefix, session_id)

    async def _mark(self, members: Sequence[bytes], session_id: str, *, operation: str) -> int:
        key = self._key(session_id)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.sadd(key, *members)
                pipe.expire(key, self._config.ttl_seconds)
                replies: list[int] = await pipe.execute()
        except RedisError as error:
            raise self._failed(operation, session_id, error) from error
        self._metrics.marked.labels(session_id).inc(len(members))
        return replies[0]

    def _failed(self, operation: str, session_id: str, error: RedisError) -> DeduplicationError:
        self._metrics.errors.labels(session_id, operation).inc()
        return DeduplicationError(f"{operation} in session {session_id} failed: {error}")


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[RelayDeduplication] = UncachedDeduplicator
