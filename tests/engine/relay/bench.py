"""Services of both revisions in a world, and everything that can be seen of them."""

import base64
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.relay.coordinator import SessionCoordinator
from engine.relay.deduplicator import Deduplicator, DeduplicatorConfig
from engine.relay.metrics import DeduplicatorMetrics
from engine.relay.refactored.coordinator import GuardedSessionCoordinator
from engine.relay.refactored.deduplicator import UncachedDeduplicator
from engine.relay.refactored.scripts import CREATE_IF_ABSENT, INCREMENT_RELAY_COUNT, UPDATE_STATE
from engine.relay.refactored.store import HashSessionStore
from engine.relay.store import SessionStore, StoreConfig
from simulator.backend import Command, Record
from simulator.events import Event, readings
from simulator.seed import Seed
from simulator.world import World
from tests.engine.relay.faults import FailingBackend
from tests.engine.relay.samples import SUPPLIER, main_key

T = TypeVar("T")
NUMBERS = {"session_start_height", "session_end_height", "relay_count", "total_compute_units", "settlement_height"}
SCRIPTS = {
    script.encode(): name
    for name, script in {
        "<increment_relay_count>": INCREMENT_RELAY_COUNT,
        "<update_state>": UPDATE_STATE,
        "<create_if_absent>": CREATE_IF_ABSENT,
    }.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The three services that were refactored, before it or after."""

    name: str
    deduplicator: type[Any]
    store: type[Any]
    coordinator: type[Any]
    record_kind: str

    def member(self, relay: bytes) -> bytes:
        """A relay as the deduplicator keeps it in Redis."""
        return relay.hex().encode() if self is AS_IS else relay


AS_IS = Revision(
    name="as-is",
    deduplicator=Deduplicator,
    store=SessionStore,
    coordinator=SessionCoordinator,
    record_kind="string",
)
REFACTORED = Revision(
    name="refactored",
    deduplicator=UncachedDeduplicator,
    store=HashSessionStore,
    coordinator=GuardedSessionCoordinator,
    record_kind="hash",
)


class Bench:
    """A world with a Redis that can fail. Unless asked, clients do not try again: each failure reaches its service."""

    def __init__(self, seed: int = 1) -> None:
        self.backend = FailingBackend()
        self.world = World(Seed(seed), self.backend)
        self._events: list[Event] = []
        self._registries: dict[int, CollectorRegistry] = {}

    def __enter__(self) -> "Bench":
        self.world.__enter__()
        self.world.gate.trace = []
        return self

    def __exit__(self, *error: Any) -> None:
        self.world.__exit__(*error)

    # Services.

    def client(self, *, retrying: bool = False) -> Redis:
        return self.world.redis() if retrying else self.world.redis(retry=Retry(NoBackoff(), 0))

    def deduplicator(self, revision: Revision = AS_IS, *, retrying: bool = False, **config: Any) -> Any:
        """Another process's deduplicator, with counters of its own."""
        return self.deduplicator_of(revision.deduplicator, retrying=retrying, **config)

    def deduplicator_of(self, kind: type[Any], *, retrying: bool = False, **config: Any) -> Any:
        registry = CollectorRegistry()
        metrics = DeduplicatorMetrics.register(registry)
        made = kind(self.client(retrying=retrying), config=DeduplicatorConfig(**config), metrics=metrics)
        self._registries[id(made)] = registry
        return made

    def store(self, revision: Revision = AS_IS, **options: Any) -> Any:
        """Another process's store."""
        return self.store_of(revision.store, **options)

    def store_of(self, kind: type[Any], *, supplier: str = SUPPLIER, retrying: bool = False, **config: Any) -> Any:
        client = self.client(retrying=retrying)
        return kind(client, supplier=supplier, config=StoreConfig(**config), clock=self.world.clock)

    def coordinator(self, revision: Revision = AS_IS, *, supplier: str = SUPPLIER, store: Any = None) -> Any:
        """A coordinator whose callbacks are recorded."""
        made = revision.coordinator(store or self.store(revision, supplier=supplier), supplier=supplier)
        return self.recorded(made)

    def recorded(self, coordinator: Any) -> Any:
        coordinator.set_on_session_created_callback(self.world.callback("created"))
        coordinator.set_on_session_terminal_callback(self.world.callback("terminal"))
        return coordinator

    # What is done.

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end; its answer, or what it raised."""
        return self.world.perform(work).result()

    def arrange(self, *command: str | bytes | int) -> Any:
        """Let a command take effect as if another program had sent it: it is in no trace and meets no fault."""
        session = self.backend.inner.open(0, 2)
        encoded = tuple(part if isinstance(part, bytes) else str(part).encode() for part in command)
        (reply,) = session.execute(encoded)
        session.close()
        assert not isinstance(reply, Exception), reply
        return reply

    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    # What is seen.

    def take_steps(self) -> list[str]:
        """The commands since the last look, in order. MULTI and EXEC stand around what took effect at once."""
        assert self.world.gate.trace is not None
        taken = [_words(command) for step in self.world.gate.trace for command in step.commands]
        self.world.gate.trace = []
        return taken

    def take_logs(self) -> list[str]:
        """Level and name of each log event since the last look."""
        return [event.name for event in self._take("log")]

    def take_callbacks(self) -> list[tuple[Any, ...]]:
        """Name and arguments of each callback since the last look."""
        return [(event.name, *event.details) for event in self._take("callback")]

    def _take(self, kind: str) -> list[Event]:
        heard = [*self._events, *self.world.take_events()]
        self._events = [event for event in heard if event.kind != kind]
        return [event for event in heard if event.kind == kind]

    def record(self, key: str) -> Record | None:
        return self.world.dump().get(0, {}).get(key.encode())

    def stored(self) -> set[str]:
        """The names of all keys."""
        return {key.decode() for key in self.world.dump().get(0, {})}

    def members(self, key: str) -> set[Any]:
        """The members of a set, as text where they are text; none where there is no set."""
        record = self.record(key)
        assert record is None or record.kind == "set", f"{key} is a {record and record.kind}"
        return set() if record is None else {_text(member) for member in record.value}

    def ttl_s(self, key: str) -> float | None:
        """For how long a key that exists has yet to live; none: for ever."""
        record = self.record(key)
        assert record is not None, f"there is no {key}"
        return None if record.ttl_ms is None else record.ttl_ms / 1000

    def fields(self, session_id: str = "s1") -> dict[str, Any]:
        """Every field of the stored session, spelled as in JSON whatever the layout; none where there is no session."""
        record = self.record(main_key(session_id))
        if record is None:
            return {}
        return json.loads(record.value) if record.kind == "string" else _spelled_as_json(record.value)

    def filed_under(self, session_id: str = "s1") -> set[str]:
        """The states in whose index the session is."""
        marker = main_key("state:")
        return {
            key.removeprefix(marker)
            for key in self.stored()
            if key.startswith(marker) and session_id in self.members(key)
        }

    def counters(self, deduplicator: Any) -> dict[str, float]:
        """What a deduplicator has counted, by name and labels; zeros are left out."""
        found = readings([self._registries[id(deduplicator)]])
        return {_counter_name(name): value for name, value in found.items() if value}

    def tasks_alive(self) -> int:
        """How many tasks have not ended."""
        return sum(not task.done() for task in self.world.loop.tasks)

    def now_text(self, later_s: float = 0) -> str:
        """The present moment as it is stored."""
        text = (self.world.clock.now() + timedelta(seconds=later_s)).isoformat().removesuffix("+00:00")
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text}Z"


def _spelled_as_json(fields: dict[bytes, bytes]) -> dict[str, Any]:
    spelled: dict[str, Any] = {}
    for name, value in ((name.decode(), value) for name, value in fields.items()):
        if name == "claimed_root_hash":
            spelled[name] = base64.b64encode(value).decode()
        else:
            spelled[name] = int(value) if name in NUMBERS else value.decode()
    return spelled


def _counter_name(sample: str) -> str:
    name, _, labels = sample.removeprefix("ha_miner_dedup_").partition("{")
    values = [label.partition("=")[2] for label in labels.removesuffix("}").split(",")]
    return " ".join([name.removesuffix("_total"), *values])


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _words(command: Command) -> str:
    return " ".join(_word(part) for part in command)


def _word(part: bytes) -> str:
    if part in SCRIPTS:
        return SCRIPTS[part]
    return "<record>" if part.startswith(b"{") else part.decode(errors="backslashreplace")
