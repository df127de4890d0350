"""Planted defects: one small edit each to a service of the relay core, as a careless refactor would make it.

Each class is the subject it derives from, under its name, with a replica whose service has the edit.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any, TypeVar

from characterization import World
from characterization.subjects.relay import SUPPLIER, Coordinator, Dedup, Store
from engine.relay.coordinator import SessionCoordinator
from engine.relay.deduplicator import Deduplicator
from engine.relay.interfaces import RelayDeduplication, SessionStorage
from engine.relay.store import SessionStore, StoreConfig

S = TypeVar("S")


def edited(service: type[S], method: str, old: str, new: str) -> type[S]:
    """``service`` with ``old``, which must be there once, replaced by ``new`` in the source of one method."""
    source = textwrap.dedent(inspect.getsource(getattr(service, method)))
    assert source.count(old) == 1, f"{service.__name__}.{method} has {old!r} {source.count(old)} times"
    names: dict[str, Any] = {}
    exec(compile(source.replace(old, new), f"<edited {method}>", "exec"), vars(sys.modules[service.__module__]), names)
    return type(service.__name__, (service,), {method: names[method]})


def store(service: type[SessionStore], world: World) -> SessionStore:
    """``service`` built as the subject builds the healthy one."""
    return service(world.redis(), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)


class UpdateLeavesOldIndex(Store):
    """``update_state`` no longer removes the id from the old state index."""

    edited = edited(SessionStore, "update_state", "pipe.srem(self._keys.state(old_state), session_id)", "pass")

    def replica(self, world: World) -> SessionStorage:
        return store(self.edited, world)


class IncrementKeepsTtl(Store):
    """An increment no longer refreshes the time to live."""

    edited = edited(
        SessionStore, "increment_relay_count", 'await self._overwrite("increment_relay_count", snapshot)',
        "snapshot.last_updated_at = self._clock.now(); "
        "await self._redis.set(self._keys.session(session_id), encode_record(snapshot), keepttl=True)",
    )  # fmt: skip

    def replica(self, world: World) -> SessionStorage:
        return store(self.edited, world)


class IncrementInTerminalState(Store):
    """An increment is accepted in a terminal state."""

    edited = edited(SessionStore, "increment_relay_count", "if is_terminal(snapshot.state):", "if False:")

    def replica(self, world: World) -> SessionStorage:
        return store(self.edited, world)


class SaveForgetsClaimHash(Store):
    """``save`` forgets ``claim_tx_hash``."""

    edited = edited(
        SessionStore, "_write_and_file", "encode_record(snapshot)", "encode_record(__import__('dataclasses').replace("
        "snapshot, claim_tx_hash=''))",
    )  # fmt: skip

    def replica(self, world: World) -> SessionStorage:
        return store(self.edited, world)


class SettlementCreatesUnknown(Store):
    """An unknown session is created instead of refused by ``update_settlement_metadata``."""

    edited = edited(
        SessionStore, "update_settlement_metadata", "await self._existing(session_id)",
        "await self.get(session_id) or SessionSnapshot(session_id=session_id, supplier_operator_address='', service_id='', "
        "application_address='', session_start_height=0, session_end_height=0)",
    )  # fmt: skip

    def replica(self, world: World) -> SessionStorage:
        return store(self.edited, world)


class BatchSetsNoExpiry(Dedup):
    """The deduplicator's batch sets no expiry."""

    edited = edited(Deduplicator, "_mark", "pipe.expire(", "operation == 'redis_batch_mark' or pipe.expire(")

    def replica(self, world: World) -> RelayDeduplication:
        return self.edited(world.redis(), config=self.config, metrics=self.metrics(world))


class CleanupLeavesCache(Dedup):
    """``cleanup_session`` leaves the local cache."""

    edited = edited(Deduplicator, "cleanup_session", "self._local.pop(session_id, None)", "pass")

    def replica(self, world: World) -> RelayDeduplication:
        return self.edited(world.redis(), config=self.config, metrics=self.metrics(world))


class ProvedWithoutCallback(Coordinator):
    """``on_session_proved`` no longer runs its callback when the store fails."""

    edited = edited(SessionCoordinator, "on_session_proved", "error=str(error))", "error=str(error)); return")

    def replica(self, world: World) -> SessionCoordinator:
        return self.told(world, self.edited(store(SessionStore, world), supplier=SUPPLIER))
