"""What a service says while it works: callbacks it runs, log events, metrics that move."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from structlog.typing import EventDict, WrappedLogger


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was heard. ``kind`` is ``callback`` or ``log``; ``details`` are values as they came."""

    kind: str
    name: str
    details: tuple[Any, ...] = ()


class Registry(Protocol):
    """What a Prometheus registry offers: ``collect`` yields families with ``samples`` of name, labels and value."""

    def collect(self) -> Iterable[Any]:
        """The families, with their samples."""


class Ear(logging.Handler):
    """Hears log events of structlog and of the standard library while it is listening.

    An event is known by its level and its name: structlog's event, or logging's message before its arguments are
    filled in. What redis-py and asyncio log is not the service's own, and is left out.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.events: list[Event] = []
        self._stack = ExitStack()

    def listen(self) -> None:
        """Begin to hear."""
        processors = structlog.get_config()["processors"]
        kept = list(processors)
        # In place, as structlog's own capture_logs does it: loggers that were bound before hold this very list.
        processors[:] = [self._hear]
        self._stack.callback(processors.__setitem__, slice(None), kept)
        root = logging.getLogger()
        self._stack.callback(root.setLevel, root.level)
        root.setLevel(logging.INFO)
        root.addHandler(self)
        self._stack.callback(root.removeHandler, self)

    def stop(self) -> None:
        """Put logging back as it was."""
        self._stack.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Hear a record of the standard library."""
        if record.name.split(".")[0] not in ("asyncio", "redis", "fakeredis", "hypothesis"):
            self.events.append(Event(kind="log", name=f"{record.levelname.lower()} {record.msg}"))

    def _hear(self, _logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        self.events.append(Event(kind="log", name=f"{level} {event.get('event')}"))
        raise structlog.DropEvent


def readings(registries: Iterable[Registry]) -> Mapping[str, float]:
    """Every sample of ``registries`` by its full name, but for those that tell when something was created."""
    return {
        _sample_name(sample.name, sample.labels): float(sample.value)
        for registry in registries
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def _sample_name(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
