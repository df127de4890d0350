"""What a deduplicator counts."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter


@dataclass(frozen=True, slots=True, kw_only=True)
class DeduplicatorMetrics:
    """Counters by ``session_id``; ``errors`` also by ``operation``."""

    local_hits: Counter
    redis_hits: Counter
    misses: Counter
    marked: Counter
    errors: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> Self:
        """Create the counters in ``registry``, which must not have them yet."""

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(f"ha_miner_dedup_{name}", documentation, ("session_id", *labels), registry=registry)

        return cls(
            local_hits=counter("local_hits", "Duplicates that the local cache knew"),
            redis_hits=counter("redis_hits", "Duplicates that only Redis knew"),
            misses=counter("misses", "Relays that were no duplicates"),
            marked=counter("marked", "Relays that were marked as processed"),
            errors=counter("errors", "Operations that Redis failed", "operation"),
        )
