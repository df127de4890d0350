"""Measuring competitors in turn, so that a noisy machine hits all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# By name: while a world is entered, `time.perf_counter` is virtual, and this one is not.
from time import perf_counter
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_260_201


def alternate(competitors: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each competitor gave in each of ``rounds``: A B, B A, A B, so that no one always goes first."""
    results: dict[str, list[T]] = {name: [] for name in competitors}
    for number in range(rounds):
        order = list(competitors) if number % 2 == 0 else list(reversed(list(competitors)))
        for name in order:
            results[name].append(competitors[name]())
    return results


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """How many real seconds ``work`` took, and what it returned."""
    began = perf_counter()
    result = work()
    return perf_counter() - began, result


def generating(examples: int, steps: int) -> settings:
    """Hypothesis that does nothing but draw and run: the same so many machines of so many steps each time."""
    return settings(
        max_examples=examples, stateful_step_count=steps, phases=[Phase.generate], deadline=None, database=None,
        derandomize=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def span(values: Sequence[float], spell: str) -> str:
    """The smallest and the largest of ``values``, spelled as the format ``spell`` says: ``3.1 to 3.4``."""
    return f"{min(values):{spell}} to {max(values):{spell}}"
