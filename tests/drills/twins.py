"""Twins: a healthy service, whose baseline is what a planted one is held against."""

from __future__ import annotations

from pathlib import Path

from characterization.baseline import Baseline, Baselines
from characterization.lenses.runner import Place, local_runner
from characterization.recording import explore
from characterization.subject import Subject
from simulator.seed import Seed


def record(subject: type[Subject], folder: Path, *, races: bool = False, faults: bool = False) -> Baselines:
    """The baseline of a healthy service, looked at once, in this process."""
    baselines = Baselines(folder)
    place = Place(target=f"{subject.__module__}:{subject.__name__}", folders=())
    with local_runner(subject(), Seed(1)) as runner:
        recording = explore(place, runner, lambda _: None, races=races, faults=faults)
    baselines.write(subject.name, Baseline(recording=recording), {})
    return baselines


def healthy(drill: type[Subject]) -> type[Subject]:
    """The service that the planted one is a twin of."""
    twin = drill.__bases__[0]
    assert issubclass(twin, Subject)
    return twin
