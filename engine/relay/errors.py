"""What the services raise. Each error names the operation and the session that it is about.

A caller that does not care which service failed catches :class:`RelayError`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError


class RelayError(Exception):
    """Anything that a service of the relay core raises on purpose."""


class DeduplicationError(RelayError):
    """Redis did not answer a deduplicator as expected; whether the command took effect is unknown."""


class DeduplicatorClosedError(RelayError):
    """The deduplicator was closed before it was started."""

    def __init__(self) -> None:
        super().__init__("deduplicator is closed")


class SessionStoreError(RelayError):
    """A session could not be read or written; after a failed write, whether it took effect is unknown."""


class SessionStoreClosedError(SessionStoreError):
    """The store was closed before the write."""

    def __init__(self) -> None:
        super().__init__("session store is closed")


class SessionRecordError(SessionStoreError):
    """What Redis holds for a session is not a record of a session."""


class SessionNotFoundError(SessionStoreError):
    """The session has no record."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session not found: {session_id}")
        self.session_id = session_id


class SessionTerminalError(SessionStoreError):
    """The session has reached its final state and counts no more relays."""

    def __init__(self, session_id: str, state: str) -> None:
        super().__init__(f"session {session_id} is in terminal state {state}")
        self.session_id = session_id
        self.state = state


class CoordinatorClosedError(RelayError):
    """The coordinator was closed before the call."""

    def __init__(self) -> None:
        super().__init__("session coordinator is closed")


class LifecycleClosedError(RelayError):
    """The lifecycle manager was closed before the call."""

    def __init__(self) -> None:
        super().__init__("lifecycle manager is closed")


class LifecycleNotStartedError(RelayError):
    """A height arrived before the parameters that give it a meaning were loaded."""

    def __init__(self, height: int) -> None:
        super().__init__(f"height {height} cannot be processed: the lifecycle manager was never started")
        self.height = height


class LifecycleStartError(RelayError):
    """The parameters of the chain could not be loaded, so no window can be computed."""


@contextmanager
def redis_failures_in(operation: str, subject: str) -> Iterator[None]:
    """Raise :class:`SessionStoreError` in place of any error of the Redis client or server."""
    try:
        yield
    except RedisError as error:
        raise SessionStoreError(f"{operation} of {subject} failed: {error}") from error
