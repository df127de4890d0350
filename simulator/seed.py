"""Seeds: one number per run, printed, from which everything random is forked by name."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seed:
    """A number from which independent streams are forked by name.

    ``fork`` depends on the number and the name alone, so a new stream in one part leaves every recorded stream of
    another part as it was.
    """

    number: int

    def fork(self, name: str) -> Seed:
        """The seed of the stream called ``name``; the same number and name give the same seed, on any platform."""
        digest = hashlib.blake2b(f"{self.number}/{name}".encode(), digest_size=8).digest()
        return Seed(int.from_bytes(digest, "big"))

    def random(self) -> random.Random:
        """A new generator that starts at this seed. Not for secrets."""
        return random.Random(self.number)  # noqa: S311 - reproducible is the point
