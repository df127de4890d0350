"""Which keys a step reads and which it writes, told from its arguments alone.

The table follows Redis' own (COMMAND, with its key specifications); what is not in it, or is spelled in a way that it
does not foresee, conflicts with everything. A footprint may be too large, which costs time; it is never too small, but
for scripts that touch keys which they did not declare. Where a backend tells what a script called, the footprint of that
is to be added once it was run; where it does not, ``runs_scripts`` tells which footprints not to believe.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simulator.backend import Command

# Where something is, and its name: a database's number and a key, or one of the words below and what it is about.
Resource = tuple[object, bytes]

CHANNEL = "channel"
SCRIPT = "script"
_PATTERNS: Resource = ("patterns", b"")  # who listens to channels by pattern
_CHANCE: Resource = ("chance", b"")  # the server's own source of it
_ALL_KEYS = "all keys of"
FOOTPRINTS_KEPT = 8192
SCRIPT_DRAWS: Command = (b"MATH.RANDOM",)
"""Stands among the commands that a script called for a look at its interpreter's chance, which all scripts share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a step touches.

    ``adds`` are resources to which it only adds: adding commutes with adding, not with reading or writing.
    ``everything`` stands for all there is, read and written.
    """

    reads: frozenset[Resource] = frozenset()
    writes: frozenset[Resource] = frozenset()
    adds: frozenset[Resource] = frozenset()
    everything: bool = False

    def __or__(self, other: Footprint) -> Footprint:
        """What both of them touch."""
        if self.everything or other.everything:
            return EVERYTHING
        return Footprint(reads=self.reads | other.reads, writes=self.writes | other.writes, adds=self.adds | other.adds)


NOTHING = Footprint()
EVERYTHING = Footprint(everything=True)


def conflict(a: Footprint, b: Footprint) -> bool:
    """Whether the order of ``a`` and ``b`` can make a difference: one of them writes what the other touches."""
    if a.everything or b.everything:
        return True
    return not (
        a.writes.isdisjoint(b.writes)
        and a.writes.isdisjoint(b.reads)
        and a.reads.isdisjoint(b.writes)
        and (not a.adds or (a.adds.isdisjoint(b.reads) and a.adds.isdisjoint(b.writes)))
        and (not b.adds or (b.adds.isdisjoint(a.reads) and b.adds.isdisjoint(a.writes)))
    )


@functools.lru_cache(maxsize=FOOTPRINTS_KEPT)
def footprint_of(commands: tuple[Command, ...], database: int = 0, watched: tuple[bytes, ...] = ()) -> Footprint:
    """What ``commands`` touch, which take effect together on ``database``.

    ``watched`` are the keys that their connection watches: a transaction that ends here reads them.
    """
    union = NOTHING
    for command in commands:
        union |= _of(command, database, in_block=len(commands) > 1)
        if command[0].upper() in _DRAWING:
            union |= _DRAWS
    if commands[-1][0].upper() == b"EXEC" and watched:
        union |= _on_keys(database, watched, ())
    return union


def runs_scripts(commands: tuple[Command, ...]) -> bool:
    """Whether any of ``commands`` runs a script or a function, whose keys are its own affair."""
    return any(command[0].upper() in _RUNNING for command in commands)


def _of(command: Command, database: int, *, in_block: bool) -> Footprint:
    name = command[0].upper()
    if name == b"EXEC":  # alone, it runs what was queued earlier
        return NOTHING if in_block else EVERYTHING
    rule = _KEYS.get(name)
    try:
        if rule is not None:
            return _on_keys(database, *rule(command))
        other = _OTHERS.get(name)
        return other(command, database) if other is not None else EVERYTHING
    except (IndexError, ValueError):  # it will be refused, but what exactly is refused is the server's to say
        return EVERYTHING


def _on_keys(database: int, reads: Iterable[bytes], writes: Iterable[bytes]) -> Footprint:
    written = frozenset([(database, key) for key in writes])
    read = frozenset([(database, key) for key in reads])
    return Footprint(reads=read, writes=written, adds=_all_keys(database) if written else frozenset())


def _all_keys(database: int) -> frozenset[Resource]:
    """To which every write adds, and which those read who look at which keys there are."""
    return frozenset([(_ALL_KEYS, str(database).encode())])


# Keys by place. A rule takes a command to the keys that it reads and those that it writes.

Rule = Callable[[Command], tuple[tuple[bytes, ...], tuple[bytes, ...]]]


def _places(reads: slice | None, writes: slice | None = None) -> Rule:
    def rule(command: Command) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        if len(command) < 2:
            raise IndexError("no key")
        return (command[reads] if reads is not None else ()), (command[writes] if writes is not None else ())

    return rule


def _counted(at: int, *, writes: bool) -> Rule:
    """``at`` is where the number of keys stands; the keys follow it."""

    def rule(command: Command) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        keys = command[at + 1 : at + 1 + int(command[at])]
        return ((), keys) if writes else (keys, ())

    return rule


def _stored(command: Command) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """ZUNIONSTORE destination numkeys key..."""
    return command[3 : 3 + int(command[2])], command[1:2]


def _streams(*, writes: bool) -> Rule:
    """What follows STREAMS: keys, then as many ids."""

    def rule(command: Command) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        rest = command[[word.upper() for word in command].index(b"STREAMS") + 1 :]
        keys = rest[: len(rest) // 2]
        return ((), keys) if writes else (keys, ())

    return rule


_ONE, _SECOND, _ALL = slice(1, 2), slice(2, 3), slice(1, None)


def _table(*rows: tuple[Rule, str]) -> dict[bytes, Rule]:
    return {name.encode(): rule for rule, names in rows for name in names.split()}


_KEYS: dict[bytes, Rule] = _table(
    (
        _places(_ONE),
        """
        BITCOUNT BITFIELD_RO BITPOS DUMP EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO
        GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN HMGET HPEXPIRETIME HPTTL
        HRANDFIELD HSCAN HSTRLEN HTTL HVALS LINDEX LLEN LPOS LRANGE PEXPIRETIME PTTL SCARD SISMEMBER SMEMBERS
        SMISMEMBER SRANDMEMBER SSCAN STRLEN SUBSTR TTL TYPE XLEN XPENDING XRANGE XREVRANGE ZCARD ZCOUNT
        ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX
        ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
        """,
    ),
    (
        _places(None, _ONE),
        """
        APPEND BITFIELD DECR DECRBY EXPIRE EXPIREAT GEOADD GETDEL GETEX GETSET HDEL HEXPIRE HEXPIREAT HGETDEL
        HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HPEXPIREAT HSET HSETEX HSETNX INCR INCRBY
        INCRBYFLOAT LINSERT LPOP LPUSH LPUSHX LREM LSET LTRIM PERSIST PEXPIRE PEXPIREAT PFADD PSETEX RESTORE
        RPOP RPUSH RPUSHX SADD SET SETBIT SETEX SETNX SETRANGE SPOP SREM XACK XADD XAUTOCLAIM XCLAIM XDEL XSETID
        XTRIM ZADD ZINCRBY ZPOPMAX ZPOPMIN ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
        """,
    ),
    (_places(_ALL), "EXISTS MGET SDIFF SINTER SUNION TOUCH WATCH"),
    (_places(None, _ALL), "DEL PFCOUNT UNLINK"),  # PFCOUNT keeps its result in the key
    (_places(None, slice(1, None, 2)), "MSET MSETNX"),
    (_places(slice(1, 3)), "LCS"),
    (_places(None, slice(1, 3)), "BLMOVE BRPOPLPUSH LMOVE RENAME RENAMENX RPOPLPUSH SMOVE"),
    (_places(None, slice(1, -1)), "BLPOP BRPOP BZPOPMAX BZPOPMIN"),
    (_places(slice(2, None), _ONE), "PFMERGE SDIFFSTORE SINTERSTORE SUNIONSTORE"),
    (_places(_SECOND, _ONE), "GEOSEARCHSTORE ZRANGESTORE"),
    (_places(slice(3, None), _SECOND), "BITOP"),
    (_counted(1, writes=False), "SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION"),
    (_counted(1, writes=True), "LMPOP ZMPOP"),
    (_counted(2, writes=True), "BLMPOP BZMPOP"),
    (_stored, "ZDIFFSTORE ZINTERSTORE ZUNIONSTORE"),
    (_streams(writes=False), "XREAD"),
    (_streams(writes=True), "XREADGROUP"),  # it moves the group's place and takes note of who was given what
)

_DRAWING = {SCRIPT_DRAWS[0], b"HRANDFIELD", b"RANDOMKEY", b"SPOP", b"SRANDMEMBER", b"ZRANDMEMBER"}
_DRAWS = Footprint(writes=frozenset([_CHANCE]))

_RUNNING = {b"EVAL", b"EVALSHA", b"EVALSHA_RO", b"EVAL_RO", b"FCALL", b"FCALL_RO"}

# Commands that are about something else than keys by their place.

Other = Callable[[Command, int], Footprint]


def _nothing(_command: Command, _database: int) -> Footprint:
    return NOTHING


def _which_keys(_command: Command, database: int) -> Footprint:
    return Footprint(reads=_all_keys(database))


def _subcommand(words: str, *, writes: bool = False, key: bool = True) -> Other:
    """A command that has a key after those of its subcommands that are named; the others conflict with everything."""
    known = frozenset(words.encode().split())

    def other(command: Command, database: int) -> Footprint:
        if command[1].upper() not in known:
            return EVERYTHING
        if not key:
            return NOTHING
        keys = (command[2],)
        return _on_keys(database, () if writes else keys, keys if writes else ())

    return other


def _script(*, writes: bool) -> Other:
    rule = _counted(2, writes=writes)

    def other(command: Command, database: int) -> Footprint:
        if int(command[2]) == 0:
            return EVERYTHING  # it names the keys that it touches itself
        return _on_keys(database, *rule(command)) | _of_script(command)

    return other


def _of_script(command: Command) -> Footprint:
    """The place of a script among those that the server knows: EVAL puts it there, EVALSHA looks."""
    name = command[0].upper()
    if name.startswith(b"EVALSHA"):
        return Footprint(reads=frozenset([(SCRIPT, command[1].lower())]))
    return _loading(command[1]) if name.startswith(b"EVAL") else NOTHING


def _loading(source: bytes) -> Footprint:
    name = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Footprint(adds=frozenset([(SCRIPT, name)]))


def _scripts(command: Command, _database: int) -> Footprint:
    word = command[1].upper()
    if word == b"LOAD":
        return _loading(command[2])
    if word == b"EXISTS":
        return Footprint(reads=frozenset((SCRIPT, name.lower()) for name in command[2:]))
    return EVERYTHING


def _copy(command: Command, database: int) -> Footprint:
    # To another database, or over what is there: the short form alone is worth telling apart.
    return _on_keys(database, command[1:2], command[2:3]) if len(command) == 3 else EVERYTHING


def _sort(command: Command, database: int) -> Footprint:
    words = [word.upper() for word in command]
    if b"BY" in words or b"GET" in words:
        return EVERYTHING  # by pattern, it reads keys that it does not name
    stored = command[words.index(b"STORE") + 1] if b"STORE" in words[2:] else None
    return _on_keys(database, command[1:2], () if stored is None else (stored,))


def _near(command: Command, database: int) -> Footprint:
    """GEORADIUS and GEORADIUSBYMEMBER, which may store what they find."""
    stored = [key for word, key in itertools.pairwise(command) if word.upper() in (b"STORE", b"STOREDIST")]
    return _on_keys(database, command[1:2], stored)


def _publish(command: Command, _database: int) -> Footprint:
    return Footprint(reads=frozenset([_PATTERNS]), writes=frozenset([(CHANNEL, command[1])]))


def _subscribe(command: Command, _database: int) -> Footprint:
    # Those of no name leave all channels. Those who subscribe commute: each is told of its own channels alone.
    return Footprint(reads=frozenset((CHANNEL, name) for name in command[1:])) if command[1:] else EVERYTHING


def _by_pattern(_command: Command, _database: int) -> Footprint:
    return Footprint(writes=frozenset([_PATTERNS]))


_CLIENT_QUIET = "SETNAME GETNAME SETINFO NO-EVICT NO-TOUCH"
_OTHERS: dict[bytes, Other] = {
    **dict.fromkeys(
        (SCRIPT_DRAWS[0], b"PING", b"ECHO", b"TIME", b"HELLO", b"AUTH", b"MULTI", b"DISCARD", b"UNWATCH"), _nothing
    ),
    **dict.fromkeys((b"KEYS", b"SCAN", b"DBSIZE", b"RANDOMKEY"), _which_keys),
    **dict.fromkeys((b"EVAL", b"EVALSHA", b"FCALL"), _script(writes=True)),
    **dict.fromkeys((b"EVAL_RO", b"EVALSHA_RO", b"FCALL_RO"), _script(writes=False)),
    **dict.fromkeys((b"PUBLISH", b"SPUBLISH"), _publish),
    **dict.fromkeys((b"SUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"SUNSUBSCRIBE"), _subscribe),
    **dict.fromkeys((b"PSUBSCRIBE", b"PUNSUBSCRIBE"), _by_pattern),
    **dict.fromkeys((b"SORT", b"SORT_RO"), _sort),
    **dict.fromkeys((b"GEORADIUS", b"GEORADIUSBYMEMBER"), _near),
    b"SCRIPT": _scripts,
    b"COPY": _copy,
    b"CLIENT": _subcommand(_CLIENT_QUIET, key=False),
    b"OBJECT": _subcommand("ENCODING FREQ IDLETIME REFCOUNT"),
    b"MEMORY": _subcommand("USAGE"),
    b"XINFO": _subcommand("STREAM GROUPS CONSUMERS"),
    b"XGROUP": _subcommand("CREATE CREATECONSUMER DELCONSUMER DESTROY SETID", writes=True),
}
