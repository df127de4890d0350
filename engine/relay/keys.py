"""Names of the keys in Redis. No hash tags: the services expect a single node."""

from dataclasses import dataclass


def relays_of_session(prefix: str, session_id: str) -> str:
    """The SET of relay hashes that were counted in a session, whatever the supplier."""
    return f"{prefix}:session:{session_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """The keys of one supplier's sessions."""

    prefix: str
    supplier: str

    def session(self, session_id: str) -> str:
        """The record of a session."""
        return f"{self.prefix}:{self.supplier}:{session_id}"

    def index(self) -> str:
        """The SET of ids of all of the supplier's sessions."""
        return f"{self.prefix}:{self.supplier}:index"

    def state(self, state: str) -> str:
        """The SET of ids of the supplier's sessions in ``state``."""
        return f"{self.prefix}:{self.supplier}:state:{state}"
