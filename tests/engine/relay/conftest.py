"""A bench for each test, and the two revisions of the services."""

from collections.abc import Iterator

import pytest

from tests.engine.relay.bench import AS_IS, REFACTORED, Bench, Revision


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


@pytest.fixture(params=[AS_IS, REFACTORED], ids=lambda revision: revision.name)
def revision(request: pytest.FixtureRequest) -> Revision:
    """For what both revisions do alike."""
    found: Revision = request.param
    return found
