"""A Redis that fails where it is told to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from simulator.backend import Backend, Command, Record, Reply, Session
from simulator.fake import FakeBackend


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong: at the step that ends with ``command``, or at the step of that number, counted from now.

    A MULTI block is one step and ends with EXEC. ``applied``: it takes effect, and only its answer is wrong. A fault
    that is not ``lasting`` strikes once.
    """

    command: str = ""
    step: int = 0
    error: RedisError
    applied: bool = False
    lasting: bool = False

    def strikes(self, command: bytes, step: int) -> bool:
        return command == self.command.encode() if self.command else step == self.step


def out_of_memory() -> RedisError:
    """An answer that leaves the connection as it is."""
    return ResponseError("OOM command not allowed when used memory > 'maxmemory'.")


def connection_lost() -> RedisError:
    """No answer, and the end of the connection."""
    return RedisConnectionError("Connection closed by server.")


class FailingBackend:
    """fakeredis, with faults."""

    has_clock = True

    def __init__(self, inner: Backend | None = None) -> None:
        self.inner = inner or FakeBackend()
        self.sees_scripts = self.inner.sees_scripts
        self.scripted = self.inner.scripted
        self.faults: list[Fault] = []
        self._steps = 0

    def refuse(self, command: str = "", *, step: int = 0, lasting: bool = False) -> None:
        """Answer an error, and do nothing."""
        self._add(Fault(command=command, step=step, error=out_of_memory(), lasting=lasting))

    def drop(self, command: str = "", *, step: int = 0, lasting: bool = False) -> None:
        """Drop the connection, and do nothing."""
        self._add(Fault(command=command, step=step, error=connection_lost(), lasting=lasting))

    def lose_reply(self, command: str = "", *, step: int = 0) -> None:
        """Do what was asked, and drop the connection instead of answering."""
        self._add(Fault(command=command, step=step, error=connection_lost(), applied=True))

    def mend(self) -> None:
        """Work again."""
        self.faults.clear()

    def _add(self, fault: Fault) -> None:
        self.faults.append(fault)
        self._steps = 0

    def fault_now(self, command: bytes) -> Fault | None:
        """The fault that strikes at the step that ``command`` ends, which is counted."""
        self._steps += 1
        for fault in self.faults:
            if fault.strikes(command, self._steps):
                if not fault.lasting:
                    self.faults.remove(fault)
                return fault
        return None

    @property
    def name(self) -> str:
        return f"failing {self.inner.name}"

    def open(self, database: int, protocol: int) -> "FailingSession":
        return FailingSession(self, self.inner.open(database, protocol))

    def restart(self, now_ns: int) -> None:
        self.mend()
        self.inner.restart(now_ns)

    def set_time(self, now_ns: int) -> None:
        self.inner.set_time(now_ns)

    def dump(self) -> Mapping[int, Mapping[bytes, Record]]:
        return self.inner.dump()

    def close(self) -> None:
        self.inner.close()


class FailingSession:
    """A session that asks before each step whether it goes wrong."""

    def __init__(self, backend: FailingBackend, inner: Session) -> None:
        self._backend = backend
        self._inner = inner
        self._in_block = False

    def execute(self, command: Command) -> Sequence[Reply]:
        name = command[0].upper()
        if name == b"MULTI":
            self._in_block = True
        elif name in (b"EXEC", b"DISCARD"):
            self._in_block = False
        fault = None if self._in_block else self._backend.fault_now(name)
        if fault is None:
            return self._inner.execute(command)
        if fault.applied:
            self._inner.execute(command)
        elif name == b"EXEC":
            self._inner.execute((b"DISCARD",))
        return [fault.error]

    def pushes(self) -> Sequence[Reply]:
        return self._inner.pushes()

    def close(self) -> None:
        self._inner.close()
