"""The kinds of change."""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """What is different about a behaviour, the gravest first."""

    RESPONSE = "response"
    EFFECT = "effect"
    APPEARED = "anomaly appeared"
    VANISHED = "anomaly vanished"
    GONE = "gone"
    NEW = "new"
    COST = "cost"
