"""What each operation sends, by the table of the relay core, as ``Bench.take_steps`` tells it."""

from tests.engine.relay.samples import INDEX, TTL_S, main_key, state_key


def saving(session_id: str = "s1", *, state: str = "active", old: str = "") -> list[str]:
    """``save``; ``old`` is the state that was stored, if it was another."""
    return [
        f"GET {main_key(session_id)}",
        "MULTI",
        f"SET {main_key(session_id)} <record> EX {TTL_S}",
        *_filing(session_id, state),
        "EXEC",
        *([f"SREM {state_key(old)} {session_id}"] if old else []),
    ]


def moving(session_id: str = "s1", *, old: str, new: str) -> list[str]:
    """``update_state`` to another state."""
    return [
        f"GET {main_key(session_id)}",
        "MULTI",
        f"SET {main_key(session_id)} <record> EX {TTL_S}",
        f"SREM {state_key(old)} {session_id}",
        f"SADD {state_key(new)} {session_id}",
        f"EXPIRE {state_key(new)} {TTL_S}",
        "EXEC",
    ]


def overwriting(session_id: str = "s1") -> list[str]:
    """``increment_relay_count``, ``update_settlement_metadata`` and ``update_wal_position``."""
    return [f"GET {main_key(session_id)}", f"SET {main_key(session_id)} <record> EX {TTL_S}"]


def deleting(session_id: str = "s1", *, state: str) -> list[str]:
    """``delete`` of a session that is there."""
    return [f"GET {main_key(session_id)}", *_removing(session_id, state)]


def looking(session_id: str = "s1") -> list[str]:
    """``get``, and whatever finds nothing to do after it."""
    return [f"GET {main_key(session_id)}"]


def listing(index: str, *session_ids: str) -> list[str]:
    """``get_by_supplier`` and ``get_by_state``."""
    return [f"SMEMBERS {index}", *(f"GET {main_key(session_id)}" for session_id in session_ids)]


# After the refactor.


def reading_hash(session_id: str = "s1") -> list[str]:
    """``get`` of a hash."""
    return [f"TYPE {main_key(session_id)}", f"HGETALL {main_key(session_id)}"]


def filing_hash(session_id: str = "s1", *, state: str = "active") -> list[str]:
    """What the winner of ``create_if_absent`` does after its script."""
    return ["MULTI", *_filing(session_id, state), "EXEC"]


def refiling_hash(session_id: str = "s1", *, old: str, new: str) -> list[str]:
    """What ``update_state`` does after its script."""
    return [
        "MULTI",
        f"SADD {state_key(new)} {session_id}",
        f"EXPIRE {state_key(new)} {TTL_S}",
        f"SREM {state_key(old)} {session_id}",
        "EXEC",
    ]


def deleting_hash(session_id: str = "s1", *, state: str) -> list[str]:
    """``delete`` of a hash."""
    return [*reading_hash(session_id), *_removing(session_id, state)]


def _filing(session_id: str, state: str) -> list[str]:
    return [
        f"SADD {INDEX} {session_id}",
        f"EXPIRE {INDEX} {TTL_S}",
        f"SADD {state_key(state)} {session_id}",
        f"EXPIRE {state_key(state)} {TTL_S}",
    ]


def _removing(session_id: str, state: str) -> list[str]:
    return [
        "MULTI",
        f"DEL {main_key(session_id)}",
        f"SREM {INDEX} {session_id}",
        f"SREM {state_key(state)} {session_id}",
        "EXEC",
    ]
