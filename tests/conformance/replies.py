"""What servers reply, word for word: commands sent one after another on one session, from an empty Redis.

``CASES`` holds the replies of Redis 7.0; ``DIFFERENCES`` holds every reply of another backend that is not the same. Nothing
is averaged away: a reply that changes, on any backend, fails a test.
"""

# ruff: noqa: E501 - replies are as long as they are

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import AuthenticationError, ExecAbortError, NoScriptError, ResponseError

from simulator.errors import BackendError


class Several(tuple[Any, ...]):
    """Not one reply, but this many."""

    __slots__ = ()

    def __new__(cls, *replies: Any) -> Several:
        return super().__new__(cls, replies)


@dataclass(frozen=True, slots=True)
class Replies:
    """What comes back: the same in both protocols, unless ``resp3`` says otherwise."""

    reply: Any
    resp3: Any = field(default=..., kw_only=True)

    def in_protocol(self, protocol: int) -> list[Any]:
        """The replies in RESP ``protocol``."""
        reply = self.resp3 if protocol == 3 and self.resp3 is not ... else self.reply
        return list(reply) if isinstance(reply, Several) else [reply]


@dataclass(frozen=True, slots=True)
class Sent:
    """A command, its words separated by blanks or given one by one, and the replies of Redis 7.0."""

    words: str | tuple[str, ...]
    reply: Any
    resp3: Any = field(default=..., kw_only=True)

    @property
    def command(self) -> tuple[bytes, ...]:
        """As a session takes it."""
        words = self.words.split() if isinstance(self.words, str) else self.words
        return tuple(word.encode() for word in words)

    @property
    def replies(self) -> Replies:
        """Those of Redis 7.0."""
        return Replies(self.reply, resp3=self.resp3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """The replies of backends that do not reply as Redis 7.0 does."""

    fakeredis: Replies | None = None
    valkey: Replies | None = None

    def of(self, backend: str) -> Replies | None:
        """Those of ``backend``, if they differ."""
        return {"fakeredis": self.fakeredis, "valkey": self.valkey}.get(backend)


CASES: dict[str, list[Sent]] = {
    "strings": [
        Sent("SET a 1", b"OK"),
        Sent("GET a", b"1"),
        Sent("GET none", None),
        Sent("APPEND a 2", 2),
        Sent("STRLEN a", 2),
        Sent("INCR a", 13),
        Sent("INCRBYFLOAT a 0.5", b"13.5"),
        Sent("GETRANGE a 0 1", b"13"),
        Sent("SETRANGE a 1 9", 4),
        Sent("GETDEL a", b"19.5"),
        Sent("EXISTS a", 0),
    ],
    "set_options": [
        Sent("SET a 1 NX", b"OK"),
        Sent("SET a 2 NX", None),
        Sent("SET a 3 XX GET", b"1"),
        Sent("SET b 1 XX", None),
        Sent("SET a 4 EX 100", b"OK"),
        Sent("TTL a", 100),
        Sent("SET a 5 KEEPTTL", b"OK"),
        Sent("TTL a", 100),
        Sent("SET a 6", b"OK"),
        Sent("TTL a", -1),
        Sent("GETEX a PX 1500", b"6"),
        Sent("PTTL a", 1500),
        Sent("GETEX a PERSIST", b"6"),
        Sent("SETNX a 7", 0),
        Sent("GETSET a 8", b"6"),
        Sent("MSET x 1 y 2", b"OK"),
        Sent("MGET x none y", [b"1", None, b"2"]),
        Sent("MSETNX x 1 z 1", 0),
    ],
    "keys": [
        Sent("SET a 1", b"OK"),
        Sent("SET b 2", b"OK"),
        Sent("DEL a none", 1),
        Sent("EXISTS b b none", 2),
        Sent("TYPE b", b"string"),
        Sent("RENAME b c", b"OK"),
        Sent("RENAMENX c c2", 1),
        Sent("KEYS *", [b"c2"]),
        Sent("DBSIZE", 1),
        Sent("RANDOMKEY", b"c2"),
        Sent("UNLINK c2", 1),
        Sent("TYPE c2", b"none"),
        Sent("COPY none x", 0),
        Sent("TOUCH none", 0),
    ],
    "rename_missing": [
        Sent("RENAME none x", ResponseError("no such key")),
    ],
    "hashes": [
        Sent("HSET h a 1 b 2", 2),
        Sent("HGET h a", b"1"),
        Sent("HGET h none", None),
        Sent("HMGET h a none", [b"1", None]),
        Sent("HGETALL h", [b"a", b"1", b"b", b"2"], resp3={b"a": b"1", b"b": b"2"}),
        Sent("HINCRBY h a 5", 6),
        Sent("HINCRBYFLOAT h a 0.5", b"6.5"),
        Sent("HLEN h", 2),
        Sent("HEXISTS h a", 1),
        Sent("HKEYS h", [b"a", b"b"]),
        Sent("HVALS h", [b"6.5", b"2"]),
        Sent("HSETNX h a 1", 0),
        Sent("HSTRLEN h a", 3),
        Sent("HDEL h a none", 1),
        Sent("HGETALL none", [], resp3={}),
        Sent("HRANDFIELD none", None),
    ],
    "sets": [
        Sent("SADD s a", 1),
        Sent("SADD s a b", 1),
        Sent("SREM s b none", 1),
        Sent("SISMEMBER s a", 1),
        Sent("SMISMEMBER s a none", [1, 0]),
        Sent("SCARD s", 1),
        Sent("SMEMBERS s", [b"a"]),
        Sent("SMEMBERS none", []),
        Sent("SADD t a", 1),
        Sent("SINTER s t", [b"a"]),
        Sent("SUNION s t", [b"a"]),
        Sent("SDIFF s t", []),
        Sent("SINTERCARD 2 s t", 1),
        Sent("SMOVE s t a", 1),
        Sent("EXISTS s", 0),
        Sent("SPOP none", None),
        Sent("SPOP t", b"a"),
        Sent("SRANDMEMBER none", None),
        Sent("SINTERSTORE d s t", 0),
    ],
    "lists": [
        Sent("RPUSH l a b c", 3),
        Sent("LPUSH l z", 4),
        Sent("LRANGE l 0 -1", [b"z", b"a", b"b", b"c"]),
        Sent("LLEN l", 4),
        Sent("LINDEX l 1", b"a"),
        Sent("LINDEX l 9", None),
        Sent("LSET l 0 y", b"OK"),
        Sent("LREM l 1 b", 1),
        Sent("LINSERT l BEFORE c x", 4),
        Sent("LPOS l c", 3),
        Sent("LPOS l none", None),
        Sent("LMOVE l m LEFT RIGHT", b"y"),
        Sent("RPOPLPUSH l m", b"c"),
        Sent("LPOP l", b"a"),
        Sent("LPOP none", None),
        Sent("LPOP m 5", [b"c", b"y"]),
        Sent("LTRIM l 1 0", b"OK"),
        Sent("EXISTS l", 0),
        Sent("LPUSHX none a", 0),
        Sent("LMPOP 1 none LEFT", None),
        Sent("RPUSH n 1 2", 2),
        Sent("LMPOP 1 n LEFT COUNT 2", [b"n", [b"1", b"2"]]),
    ],
    "lset_errors": [
        Sent("LSET none 0 a", ResponseError("no such key")),
        Sent("RPUSH l a", 1),
        Sent("LSET l 9 a", ResponseError("index out of range")),
    ],
    "zsets": [
        Sent("ZADD z 1 a 2 b 0.5 c", 3),
        Sent("ZADD z XX CH 3 a", 1),
        Sent("ZADD z INCR 1 a", b"4", resp3=4.0),
        Sent("ZADD z NX INCR 1 a", None),
        Sent("ZSCORE z a", b"4", resp3=4.0),
        Sent("ZSCORE z none", None),
        Sent("ZMSCORE z a none", [b"4", None], resp3=[4.0, None]),
        Sent("ZRANK z a", 2),
        Sent("ZREVRANK z none", None),
        Sent("ZRANGE z 0 -1", [b"c", b"b", b"a"]),
        Sent(
            "ZRANGE z 0 -1 WITHSCORES",
            [b"c", b"0.5", b"b", b"2", b"a", b"4"],
            resp3=[[b"c", 0.5], [b"b", 2.0], [b"a", 4.0]],
        ),
        Sent("ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 0 1", [b"c", b"0.5"], resp3=[[b"c", 0.5]]),
        Sent("ZCOUNT z (0.5 4", 2),
        Sent("ZINCRBY z 1.5 b", b"3.5", resp3=3.5),
        Sent("ZCARD z", 3),
        Sent("ZPOPMIN z", [b"c", b"0.5"], resp3=[b"c", 0.5]),
        Sent("ZPOPMAX z 1", [b"a", b"4"], resp3=[[b"a", 4.0]]),
        Sent("ZREM z b", 1),
        Sent("EXISTS z", 0),
        Sent("ZPOPMIN none", []),
        Sent("ZADD z 1 a", 1),
        Sent("ZUNIONSTORE y 2 z none", 1),
        Sent("ZRANGE y 0 -1 REV WITHSCORES", [b"a", b"1"], resp3=[[b"a", 1.0]]),
        Sent("ZMPOP 1 none MIN", None),
        Sent("ZMPOP 1 y MIN", [b"y", [[b"a", b"1"]]], resp3=[b"y", [[b"a", 1.0]]]),
        Sent("ZRANGEBYLEX z - +", [b"a"]),
    ],
    "zset_tenth": [
        Sent("ZADD z 0.1 a", 1),
        Sent("ZSCORE z a", b"0.10000000000000001", resp3=0.1),
        Sent("ZRANGE z 0 -1 WITHSCORES", [b"a", b"0.10000000000000001"], resp3=[[b"a", 0.1]]),
        Sent("ZINCRBY z 0.2 a", b"0.30000000000000004", resp3=0.30000000000000004),
        Sent("ZADD z inf b", 1),
        Sent("ZSCORE z b", b"inf", resp3=math.inf),
        Sent("ZADD z 1e20 c", 1),
        Sent("ZSCORE z c", b"1e+20", resp3=1e20),
    ],
    "zadd_nan": [
        Sent("ZADD z abc a", ResponseError("value is not a valid float")),
    ],
    "streams": [
        Sent("XADD s 1-1 a 1 b 2", b"1-1"),
        Sent("XADD s 2-1 a 2", b"2-1"),
        Sent("XLEN s", 2),
        Sent("XRANGE s - +", [[b"1-1", [b"a", b"1", b"b", b"2"]], [b"2-1", [b"a", b"2"]]]),
        Sent("XREVRANGE s + - COUNT 1", [[b"2-1", [b"a", b"2"]]]),
        Sent(
            "XREAD COUNT 1 STREAMS s 0",
            [[b"s", [[b"1-1", [b"a", b"1", b"b", b"2"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1", b"b", b"2"]]]},
        ),
        Sent("XREAD STREAMS s $", None),
        Sent(
            "XREAD STREAMS s none 0 0",
            [[b"s", [[b"1-1", [b"a", b"1", b"b", b"2"]], [b"2-1", [b"a", b"2"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1", b"b", b"2"]], [b"2-1", [b"a", b"2"]]]},
        ),
        Sent("XDEL s 1-1", 1),
        Sent(
            "XADD s 1-1 a 1",
            ResponseError("The ID specified in XADD is equal or smaller than the target stream top item"),
        ),
        Sent("XTRIM s MAXLEN 0", 1),
        Sent("XLEN s", 0),
        Sent("XADD none NOMKSTREAM * a 1", None),
        Sent("XADD s 3-* a 1", b"3-0"),
        Sent("XADD s MAXLEN 1 4-0 a 1", b"4-0"),
        Sent("XRANGE s - +", [[b"4-0", [b"a", b"1"]]]),
    ],
    "groups": [
        Sent("XGROUP CREATE s g 0 MKSTREAM", b"OK"),
        Sent("XGROUP CREATE s g 0", ResponseError("BUSYGROUP Consumer Group name already exists")),
        Sent("XADD s 1-1 a 1", b"1-1"),
        Sent("XADD s 2-1 a 2", b"2-1"),
        Sent(
            "XREADGROUP GROUP g c1 COUNT 1 STREAMS s >",
            [[b"s", [[b"1-1", [b"a", b"1"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1"]]]},
        ),
        Sent(
            "XREADGROUP GROUP g c2 STREAMS s >",
            [[b"s", [[b"2-1", [b"a", b"2"]]]]],
            resp3={b"s": [[b"2-1", [b"a", b"2"]]]},
        ),
        Sent("XREADGROUP GROUP g c2 STREAMS s >", None),
        Sent(
            "XREADGROUP GROUP g c1 STREAMS s 0",
            [[b"s", [[b"1-1", [b"a", b"1"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1"]]]},
        ),
        Sent("XREADGROUP GROUP g c3 STREAMS s 0", [[b"s", []]], resp3={b"s": []}),
        Sent("XPENDING s g", [2, b"1-1", b"2-1", [[b"c1", b"1"], [b"c2", b"1"]]]),
        Sent("XPENDING s g - + 10", [[b"1-1", b"c1", 0, 2], [b"2-1", b"c2", 0, 1]]),
        Sent("XCLAIM s g c2 0 1-1", [[b"1-1", [b"a", b"1"]]]),
        Sent("XACK s g 1-1 9-9", 1),
        Sent("XPENDING s g - + 10 c2", [[b"2-1", b"c2", 0, 1]]),
        Sent("XAUTOCLAIM s g c1 0 0", [b"0-0", [[b"2-1", [b"a", b"2"]]], []]),
        Sent("XGROUP DELCONSUMER s g c1", 1),
        Sent("XGROUP SETID s g 0", b"OK"),
        Sent("XACK s none 1-1", 0),
        Sent(
            "XREADGROUP GROUP none c STREAMS s >",
            ResponseError("NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option"),
        ),
        Sent("XGROUP DESTROY s g", 1),
    ],
    "xinfo_groups": [
        Sent("XGROUP CREATE s g 0 MKSTREAM", b"OK"),
        Sent("XADD s 1-1 a 1", b"1-1"),
        Sent("XADD s 2-1 a 2", b"2-1"),
        Sent(
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
            [[b"s", [[b"1-1", [b"a", b"1"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1"]]]},
        ),
        Sent(
            "XINFO GROUPS s",
            [
                [
                    b"name",
                    b"g",
                    b"consumers",
                    1,
                    b"pending",
                    1,
                    b"last-delivered-id",
                    b"1-1",
                    b"entries-read",
                    1,
                    b"lag",
                    1,
                ]
            ],
            resp3=[
                {
                    b"name": b"g",
                    b"consumers": 1,
                    b"pending": 1,
                    b"last-delivered-id": b"1-1",
                    b"entries-read": 1,
                    b"lag": 1,
                }
            ],
        ),
    ],
    "xautoclaim_deleted": [
        Sent("XGROUP CREATE s g 0 MKSTREAM", b"OK"),
        Sent("XADD s 1-1 a 1", b"1-1"),
        Sent("XADD s 2-1 a 2", b"2-1"),
        Sent(
            "XREADGROUP GROUP g c STREAMS s >",
            [[b"s", [[b"1-1", [b"a", b"1"]], [b"2-1", [b"a", b"2"]]]]],
            resp3={b"s": [[b"1-1", [b"a", b"1"]], [b"2-1", [b"a", b"2"]]]},
        ),
        Sent("XDEL s 1-1", 1),
        Sent("XAUTOCLAIM s g d 0 0", [b"0-0", [[b"2-1", [b"a", b"2"]]], [b"1-1"]]),
        Sent("XPENDING s g - + 10", [[b"2-1", b"d", 0, 2]]),
    ],
    "multi": [
        Sent("MULTI", b"OK"),
        Sent("SET a 1", b"QUEUED"),
        Sent("INCR a", b"QUEUED"),
        Sent("GET a", b"QUEUED"),
        Sent("EXEC", [b"OK", 2, b"2"]),
        Sent("EXEC", ResponseError("EXEC without MULTI")),
        Sent("DISCARD", ResponseError("DISCARD without MULTI")),
        Sent("MULTI", b"OK"),
        Sent("MULTI", ResponseError("MULTI calls can not be nested")),
        Sent("DISCARD", b"OK"),
    ],
    "multi_error_inside": [
        Sent("SET a x", b"OK"),
        Sent("MULTI", b"OK"),
        Sent("INCR a", b"QUEUED"),
        Sent("SET b 1", b"QUEUED"),
        Sent("EXEC", [ResponseError("value is not an integer or out of range"), b"OK"]),
        Sent("GET b", b"1"),
    ],
    "multi_aborted": [
        Sent("MULTI", b"OK"),
        Sent("SET a", ResponseError("wrong number of arguments for 'set' command")),
        Sent("SET b 1", b"QUEUED"),
        Sent("EXEC", ExecAbortError("Transaction discarded because of previous errors.")),
        Sent("GET b", None),
    ],
    "multi_unknown": [
        Sent("MULTI", b"OK"),
        Sent("NOSUCH a", ResponseError("unknown command 'NOSUCH', with args beginning with: 'a' ")),
        Sent("EXEC", ExecAbortError("Transaction discarded because of previous errors.")),
    ],
    "watch_inside": [
        Sent("MULTI", b"OK"),
        Sent("WATCH a", ResponseError("WATCH inside MULTI is not allowed")),
        Sent("EXEC", []),
    ],
    "expiry": [
        Sent("SET a 1", b"OK"),
        Sent("EXPIRE a 100", 1),
        Sent("TTL a", 100),
        Sent("PTTL a", 100000),
        Sent("EXPIRE a 50 GT", 0),
        Sent("EXPIRE a 50 NX", 0),
        Sent("EXPIRE a 200 XX", 1),
        Sent("PEXPIRE none 5", 0),
        Sent("PERSIST a", 1),
        Sent("PERSIST a", 0),
        Sent("TTL a", -1),
        Sent("TTL none", -2),
        Sent("EXPIRETIME a", -1),
        Sent("EXPIRE a 0", 1),
        Sent("EXISTS a", 0),
    ],
    "expire_negative": [
        Sent("SET a 1", b"OK"),
        Sent("EXPIRE a -1", 1),
        Sent("EXISTS a", 0),
    ],
    "pexpire_zero": [
        Sent("SET a 1", b"OK"),
        Sent("PEXPIRE a 0", 1),
        Sent("EXISTS a", 0),
        Sent("PTTL a", -2),
    ],
    "expireat_past": [
        Sent("SET a 1", b"OK"),
        Sent("EXPIREAT a 1", 1),
        Sent("EXISTS a", 0),
    ],
    "set_exat_past": [
        Sent("SET a 1 EXAT 1", b"OK"),
        Sent("EXISTS a", 0),
    ],
    "set_ex_zero": [
        Sent("SET a 1 EX 0", ResponseError("invalid expire time in 'set' command")),
    ],
    "setex_errors": [
        Sent("SETEX a 0 1", ResponseError("invalid expire time in 'setex' command")),
        Sent("PSETEX a -1 1", ResponseError("invalid expire time in 'psetex' command")),
    ],
    "wrongtype": [
        Sent("SADD s a", 1),
        Sent("GET s", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("INCR s", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("HGET s a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("LPUSH s a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("ZADD s 1 a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("XADD s * a 1", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("SETEX s 5 v", b"OK"),
        Sent("TYPE s", b"string"),
    ],
    "wrongtype_read": [
        Sent("SET a 1", b"OK"),
        Sent("SMEMBERS a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("HGETALL a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("LRANGE a 0 1", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("ZSCORE a a", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("XRANGE a - +", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        Sent("XREAD STREAMS a 0", ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
    ],
    "arity": [
        Sent("GET", ResponseError("wrong number of arguments for 'get' command")),
        Sent("SET a", ResponseError("wrong number of arguments for 'set' command")),
        Sent("HSET h a", ResponseError("wrong number of arguments for 'hset' command")),
        Sent("NOSUCH", ResponseError("unknown command 'NOSUCH', with args beginning with: ")),
        Sent("NOSUCH a b", ResponseError("unknown command 'NOSUCH', with args beginning with: 'a' 'b' ")),
        Sent("CLIENT NOSUCH", ResponseError("unknown subcommand 'NOSUCH'. Try CLIENT HELP.")),
        Sent("XGROUP NOSUCH a", ResponseError("unknown subcommand 'NOSUCH'. Try XGROUP HELP.")),
    ],
    "syntax": [
        Sent("SET a 1 BAD", ResponseError("syntax error")),
        Sent("SET a 1 EX", ResponseError("syntax error")),
        Sent("SET a 1 NX XX", ResponseError("syntax error")),
        Sent("SET a 1 EX abc", ResponseError("value is not an integer or out of range")),
        Sent("EXPIRE a abc", ResponseError("value is not an integer or out of range")),
        Sent("LRANGE l a b", ResponseError("value is not an integer or out of range")),
        Sent("ZADD z", ResponseError("wrong number of arguments for 'zadd' command")),
        Sent("ZADD z 1", ResponseError("wrong number of arguments for 'zadd' command")),
        Sent("XADD s 1-1 a", ResponseError("wrong number of arguments for 'xadd' command")),
        Sent("XADD s bad a 1", ResponseError("Invalid stream ID specified as stream command argument")),
        Sent("SCAN abc", ResponseError("invalid cursor")),
        Sent("BITCOUNT a 1", 0),
        Sent("SETRANGE a -1 x", ResponseError("offset is out of range")),
        Sent("GETRANGE a x y", ResponseError("value is not an integer or out of range")),
    ],
    "not_integer": [
        Sent("SET a x", b"OK"),
        Sent("INCR a", ResponseError("value is not an integer or out of range")),
        Sent("INCRBY a x", ResponseError("value is not an integer or out of range")),
        Sent("INCRBYFLOAT a 1", ResponseError("value is not a valid float")),
        Sent("HSET h f x", 1),
        Sent("HINCRBY h f 1", ResponseError("hash value is not an integer")),
        Sent("HINCRBYFLOAT h f 1", ResponseError("hash value is not a float")),
    ],
    "overflow": [
        Sent("SET a 9223372036854775807", b"OK"),
        Sent("INCR a", ResponseError("increment or decrement would overflow")),
        Sent("HSET h f 9223372036854775807", 1),
        Sent("HINCRBY h f 1", ResponseError("increment or decrement would overflow")),
        Sent("DECRBY a -9223372036854775808", ResponseError("decrement would overflow")),
    ],
    "xadd_small": [
        Sent("XADD s 5-5 a 1", b"5-5"),
        Sent(
            "XADD s 5-5 a 1",
            ResponseError("The ID specified in XADD is equal or smaller than the target stream top item"),
        ),
        Sent("XADD s 0-0 a 1", ResponseError("The ID specified in XADD must be greater than 0-0")),
    ],
    "busygroup": [
        Sent(
            "XGROUP CREATE none g 0",
            ResponseError(
                "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
            ),
        ),
    ],
    "script": [
        Sent(("EVAL", "return {1, 'a', false, 3.99}", "0"), [1, b"a", None, 3]),
        Sent(("EVAL", "return {1,2,nil,4}", "0"), [1, 2]),
        Sent(("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "k", "v"), b"OK"),
        Sent(("EVAL", "return redis.call('GET', KEYS[1])", "1", "k"), b"v"),
        Sent(("EVAL", "return {ok='FINE'}", "0"), b"FINE"),
        Sent(("EVAL", "return redis.status_reply('FINE')", "0"), b"FINE"),
        Sent(("EVAL", "return false", "0"), None),
        Sent(("EVAL", "return true", "0"), 1),
        Sent(("EVAL", "return nil", "0"), None),
        Sent(("EVAL", "return redis.call('GET','none') == false", "0"), 1),
        Sent(("EVAL", "return tostring(10/2)", "0"), b"5"),
        Sent(("EVAL", "return redis.sha1hex('a')", "0"), b"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        Sent(("EVAL", "return cjson.encode({1,2})", "0"), b"[1,2]"),
    ],
    "script_errors": [
        Sent(("EVAL", "return redis.error_reply('MY ERR')", "0"), ResponseError("MY ERR")),
        Sent(("EVAL", "return {err='MY2 ERR'}", "0"), ResponseError("MY2 ERR")),
    ],
    "script_raise": [
        Sent("SET k 1", b"OK"),
        Sent(
            ("EVAL", "return redis.call('SADD','k',1)", "0"),
            ResponseError(
                "WRONGTYPE Operation against a key holding the wrong kind of value script: e00edf3209c7a6082c9a90b3130d846205c51ee1, on @user_script:1."
            ),
        ),
        Sent(
            ("EVAL", "return redis.pcall('SADD','k',1)", "0"),
            ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ),
        Sent(
            ("EVAL", "local e=redis.pcall('SADD','k',1) return e['err']", "0"),
            b"WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ],
    "script_raise2": [
        Sent(
            ("EVAL", "return redis.call('NOSUCH')", "0"),
            ResponseError(
                "Unknown Redis command called from script script: 7ae0187b9ac91447963709e3bfd83c5935fec648, on @user_script:1."
            ),
        ),
        Sent(
            ("EVAL", "return redis.call('GET')", "0"),
            ResponseError(
                "Wrong number of args calling Redis command from script script: 72273adc3c5955bf8543f1ad6ce893355b89617d, on @user_script:1."
            ),
        ),
        Sent(
            "EVAL error('boom') 0",
            ResponseError("user_script:1: boom script: 82903a0434f1503e152f89c03c9acd881a0e8150, on @user_script:1."),
        ),
        Sent(
            ("EVAL", "return nosuch", "0"),
            ResponseError(
                "user_script:1: Script attempted to access nonexistent global variable 'nosuch' script: 100e7d6e08587ed416717dc6d703eca312809a20, on @user_script:1."
            ),
        ),
        Sent(
            ("EVAL", "this is not lua", "0"),
            ResponseError("Error compiling script (new function): user_script:1: '=' expected near 'is'"),
        ),
        Sent(("EVAL", "return 1"), ResponseError("wrong number of arguments for 'eval' command")),
        Sent(("EVAL", "return 1", "x"), ResponseError("value is not an integer or out of range")),
        Sent(("EVAL", "return 1", "5", "a"), ResponseError("Number of keys can't be greater than number of args")),
    ],
    "script_partial": [
        Sent(
            ("EVAL", "redis.call('SET','a',1) redis.call('SADD','a',1)", "0"),
            ResponseError(
                "WRONGTYPE Operation against a key holding the wrong kind of value script: 4fb3d37b12666f9d67ae34ce23d1cda1c174176e, on @user_script:1."
            ),
        ),
        Sent("GET a", b"1"),
    ],
    "script_global": [
        Sent(
            ("EVAL", "x = 1 return x", "0"),
            ResponseError(
                "user_script:1: Attempt to modify a readonly table script: ef25d5f8b9e2ebcda2024841801c7ce4671f7f57, on @user_script:1."
            ),
        ),
    ],
    "script_hash_resp3": [
        Sent("HSET h a 1", 1),
        Sent(("EVAL", "return redis.call('HGETALL','h')", "0"), [b"a", b"1"]),
        Sent(("EVAL", "redis.setresp(3) return redis.call('HGETALL','h')", "0"), [b"a", b"1"], resp3={b"a": b"1"}),
    ],
    "script_number_format": [
        Sent(("EVAL", "return tostring(2^53)", "0"), b"9.007199254741e+15"),
        Sent(("EVAL", "return 10/4 .. ''", "0"), b"2.5"),
    ],
    "script_bigint": [
        Sent(
            (
                "EVAL",
                "redis.call('HINCRBY','h','f',tonumber(ARGV[1])) return redis.call('HGET','h','f')",
                "0",
                "9007199254740993",
            ),
            b"9007199254740992",
        ),
    ],
    "script_type_ok": [
        Sent("HSET h a 1", 1),
        Sent(("EVAL", "return redis.call('TYPE','h')['ok']", "0"), b"hash"),
    ],
    "script_blpop": [
        Sent(
            ("EVAL", "return redis.call('BLPOP','none',0)", "0"),
            ResponseError(
                "This Redis command is not allowed from script script: 1f255a03ec32ab26d5493f24b316b94d68b29b64, on @user_script:1."
            ),
        ),
    ],
    "script_libs": [
        Sent(("EVAL", "return #cmsgpack.pack({1,2})", "0"), 3),
        Sent(("EVAL", "return bit.band(6,3)", "0"), 2),
        Sent(("EVAL", "return #struct.pack('>I4', 7)", "0"), 4),
    ],
    "script_shebang": [
        Sent(
            ("EVAL", "#!lua flags=no-writes\nreturn redis.call('SET','a',1)", "0"),
            ResponseError(
                "Write commands are not allowed from read-only scripts. script: bc19725689df7358cf288113f5397cb6955d27bd, on @user_script:2."
            ),
        ),
    ],
    "evalsha": [
        Sent(
            "EVALSHA 0000000000000000000000000000000000000000 0", NoScriptError("No matching script. Please use EVAL.")
        ),
        Sent(("SCRIPT", "LOAD", "return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
        Sent("EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", 1),
        Sent("SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", [1, 0]),
        Sent("SCRIPT FLUSH", b"OK"),
        Sent("SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db", [0]),
    ],
    "pubsub": [
        Sent("SUBSCRIBE a b", Several([b"subscribe", b"a", 1], [b"subscribe", b"b", 2])),
        Sent("PSUBSCRIBE p*", [b"psubscribe", b"p*", 3]),
        Sent("UNSUBSCRIBE a", [b"unsubscribe", b"a", 2]),
        Sent("UNSUBSCRIBE", [b"unsubscribe", b"b", 1]),
        Sent("PUNSUBSCRIBE", [b"punsubscribe", b"p*", 0]),
        Sent("PING", b"PONG"),
    ],
    "unsubscribe_nothing": [
        Sent("UNSUBSCRIBE", [b"unsubscribe", None, 0]),
        Sent("PUNSUBSCRIBE", [b"punsubscribe", None, 0]),
        Sent("UNSUBSCRIBE a", [b"unsubscribe", b"a", 0]),
    ],
    "get_while_subscribed": [
        Sent("SUBSCRIBE a", [b"subscribe", b"a", 1]),
        Sent(
            "GET x",
            ResponseError(
                "Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ),
            resp3=None,
        ),
    ],
    "ping_while_subscribed": [
        Sent("SUBSCRIBE a", [b"subscribe", b"a", 1]),
        Sent("PING", [b"pong", b""], resp3=b"PONG"),
        Sent("PING x", [b"pong", b"x"], resp3=b"x"),
    ],
    "publish": [
        Sent("PUBLISH none x", 0),
        Sent("PUBSUB CHANNELS", []),
        Sent("PUBSUB NUMSUB a", [b"a", 0]),
        Sent("PUBSUB NUMPAT", 0),
        Sent("SPUBLISH none x", 0),
    ],
    "connection": [
        Sent("PING", b"PONG"),
        Sent("PING x", b"x"),
        Sent("ECHO x", b"x"),
        Sent("CLIENT GETNAME", None),
        Sent("CLIENT SETNAME me", b"OK"),
        Sent("CLIENT GETNAME", b"me"),
        Sent("SELECT 1", b"OK"),
        Sent("DBSIZE", 0),
        Sent("SELECT 99", ResponseError("DB index is out of range")),
        Sent(
            "AUTH nope",
            AuthenticationError(
                "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
            ),
        ),
    ],
    "scan": [
        Sent("SADD s a", 1),
        Sent("SSCAN s 0", [b"0", [b"a"]]),
        Sent("HSET h a 1", 1),
        Sent("HSCAN h 0", [b"0", [b"a", b"1"]]),
        Sent("ZADD z 1 a", 1),
        Sent("ZSCAN z 0", [b"0", [b"a", b"1"]]),
        Sent("SCAN 0 MATCH s*", [b"0", [b"s"]]),
    ],
    "object": [
        Sent("SET a 1", b"OK"),
        Sent("OBJECT ENCODING a", b"int"),
        Sent("OBJECT ENCODING none", None),
        Sent("SADD s 1 2", 2),
        Sent("OBJECT ENCODING s", b"intset"),
        # Not OBJECT IDLETIME: a server looks at the clock for it ten times a real second, so what it replies is not given.
        Sent("OBJECT REFCOUNT a", 2147483647),
    ],
    "bits": [
        Sent("SETBIT b 7 1", 0),
        Sent("GETBIT b 7", 1),
        Sent("BITCOUNT b", 1),
        Sent("BITPOS b 1", 7),
        Sent("PFADD hll a b", 1),
        Sent("PFCOUNT hll", 2),
    ],
    "config": [
        Sent(
            "CONFIG GET maxmemory-policy",
            [b"maxmemory-policy", b"noeviction"],
            resp3={b"maxmemory-policy": b"noeviction"},
        ),
        Sent("CONFIG GET nosuch", [], resp3={}),
    ],
    "wait": [
        Sent("WAIT 0 1", 0),
    ],
    "hpexpire": [
        Sent("HSET h a 1", 1),
        Sent(
            "HPEXPIRE h 50 FIELDS 1 a",
            ResponseError("unknown command 'HPEXPIRE', with args beginning with: 'h' '50' 'FIELDS' '1' 'a' "),
        ),
    ],
    "flush": [
        Sent("SET a 1", b"OK"),
        Sent("FLUSHDB", b"OK"),
        Sent("DBSIZE", 0),
        Sent("FLUSHALL", b"OK"),
        Sent("SWAPDB 0 1", b"OK"),
    ],
    "sort": [
        Sent("RPUSH l 3 1 2", 3),
        Sent("SORT l", [b"1", b"2", b"3"]),
        Sent("SORT l DESC ALPHA", [b"3", b"2", b"1"]),
        Sent("LCS x y", b""),
    ],
    "geo": [
        Sent("GEOADD g 13.361389 38.115556 a", 1),
        Sent("GEODIST g a a", b"0.0000"),
        Sent("GEOHASH g a", [b"sqc8b49rny0"]),
    ],
    "blocking_errors": [
        Sent("SET a 1", b"OK"),
        Sent("MULTI", b"OK"),
        Sent("BLPOP a 0", b"QUEUED"),
        Sent("BLPOP a x", b"QUEUED"),
        Sent(
            "EXEC",
            [
                ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
                ResponseError("timeout is not a float or out of range"),
            ],
        ),
    ],
    "set_get_nx": [
        Sent("SET k 1 NX GET", None),
        Sent("SET k 2 NX GET", b"1"),
        Sent("GET k", b"1"),
    ],
    "about": [
        Sent("ROLE", [b"master", 0, []]),
        Sent("MEMORY USAGE none", None),
        Sent("CLUSTER KEYSLOT a", ResponseError("This instance has cluster support disabled")),
        Sent("CONFIG GET nosuch", [], resp3={}),
    ],
}

# By case and place in it.
DIFFERENCES: dict[tuple[str, int], Differs] = {
    ("set_options", 11): Differs(fakeredis=Replies(1000)),  # 'PTTL a'
    ("keys", 13): Differs(
        fakeredis=Replies(ResponseError("unknown command 'touch', with args beginning with: "))
    ),  # 'TOUCH none'
    ("zset_tenth", 1): Differs(valkey=Replies(b"0.1", resp3=0.1)),  # 'ZSCORE z a'
    ("zset_tenth", 2): Differs(valkey=Replies([b"a", b"0.1"], resp3=[[b"a", 0.1]])),  # 'ZRANGE z 0 -1 WITHSCORES'
    ("streams", 6): Differs(fakeredis=Replies([], resp3={})),  # 'XREAD STREAMS s $'
    ("groups", 6): Differs(fakeredis=Replies(None, resp3={})),  # 'XREADGROUP GROUP g c2 STREAMS s >'
    ("groups", 9): Differs(fakeredis=Replies([2, b"1-1", b"2-1", [[b"c1", 1], [b"c2", 1]]])),  # 'XPENDING s g'
    ("multi", 8): Differs(valkey=Replies(ResponseError("Command 'multi' not allowed inside a transaction"))),  # 'MULTI'
    ("multi_unknown", 1): Differs(
        fakeredis=Replies(ResponseError("unknown command 'nosuch', with args beginning with: "))
    ),  # 'NOSUCH a'
    ("watch_inside", 1): Differs(
        valkey=Replies(ResponseError("Command 'watch' not allowed inside a transaction"))
    ),  # 'WATCH a'
    ("watch_inside", 2): Differs(
        valkey=Replies(ExecAbortError("Transaction discarded because of previous errors."))
    ),  # 'EXEC'
    ("expiry", 14): Differs(fakeredis=Replies(1)),  # 'EXISTS a'
    ("pexpire_zero", 2): Differs(fakeredis=Replies(1)),  # 'EXISTS a'
    ("pexpire_zero", 3): Differs(fakeredis=Replies(0)),  # 'PTTL a'
    ("set_ex_zero", 0): Differs(fakeredis=Replies(ResponseError("invalid expire time in set"))),  # 'SET a 1 EX 0'
    ("setex_errors", 0): Differs(fakeredis=Replies(ResponseError("invalid expire time in setex"))),  # 'SETEX a 0 1'
    ("setex_errors", 1): Differs(fakeredis=Replies(ResponseError("invalid expire time in psetex"))),  # 'PSETEX a -1 1'
    ("wrongtype_read", 6): Differs(
        fakeredis=Replies(
            BackendError(
                "fakeredis fails on XREAD STREAMS a 0: AttributeError: 'bytes' object has no attribute 'irange'. A real server can do it: use one for this"
            )
        )
    ),  # 'XREAD STREAMS a 0'
    ("arity", 3): Differs(
        fakeredis=Replies(ResponseError("unknown command 'nosuch', with args beginning with: "))
    ),  # 'NOSUCH'
    ("arity", 4): Differs(
        fakeredis=Replies(ResponseError("unknown command 'nosuch', with args beginning with: "))
    ),  # 'NOSUCH a b'
    ("arity", 5): Differs(
        fakeredis=Replies(ResponseError("unknown command 'client nosuch', with args beginning with: "))
    ),  # 'CLIENT NOSUCH'
    ("arity", 6): Differs(
        fakeredis=Replies(ResponseError("unknown command 'xgroup nosuch', with args beginning with: "))
    ),  # 'XGROUP NOSUCH a'
    ("syntax", 10): Differs(fakeredis=Replies(ResponseError("value is not an integer or out of range"))),  # 'SCAN abc'
    ("syntax", 11): Differs(fakeredis=Replies(ResponseError("syntax error"))),  # 'BITCOUNT a 1'
    ("not_integer", 6): Differs(fakeredis=Replies(ResponseError("value is not a valid float"))),  # 'HINCRBYFLOAT h f 1'
    ("overflow", 4): Differs(
        fakeredis=Replies(ResponseError("increment or decrement would overflow"))
    ),  # 'DECRBY a -9223372036854775808'
    ("script", 11): Differs(
        fakeredis=Replies(
            ResponseError(
                'Error running script (call to f_2cbc40b264bde270a82837d7eca6ec0d372ddb4c): @user_script:?: [string "<python>"]:1: attempt to call field \'sha1hex\' (a nil value)\nstack traceback:\n\t[string "<python>"]:1: in main chunk'
            )
        )
    ),  # "EVAL return redis.sha1hex('a') 0"
    ("script_raise", 1): Differs(
        fakeredis=Replies(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        valkey=Replies(
            ResponseError(
                "WRONGTYPE Operation against a key holding the wrong kind of value script: on @user_script:1."
            )
        ),
    ),  # "EVAL return redis.call('SADD','k',1) 0"
    ("script_raise2", 0): Differs(
        fakeredis=Replies(ResponseError("unknown command 'nosuch', with args beginning with: ")),
        valkey=Replies(ResponseError("Unknown command called from script script: on @user_script:1.")),
    ),  # "EVAL return redis.call('NOSUCH') 0"
    ("script_raise2", 1): Differs(
        fakeredis=Replies(ResponseError("Wrong number of args calling Redis command from script")),
        valkey=Replies(ResponseError("Wrong number of args calling command from script script: on @user_script:1.")),
    ),  # "EVAL return redis.call('GET') 0"
    ("script_raise2", 2): Differs(
        fakeredis=Replies(
            ResponseError(
                'Error running script (call to f_82903a0434f1503e152f89c03c9acd881a0e8150): @user_script:?: [string "<python>"]:1: boom\nstack traceback:\n\t[string "<python>"]:1: in main chunk\n\t[C]: in function \'error\''
            )
        ),
        valkey=Replies(ResponseError("user_script:1: boom script: on @user_script:1.")),
    ),  # "EVAL error('boom') 0"
    ("script_raise2", 3): Differs(
        fakeredis=Replies(None),
        valkey=Replies(
            ResponseError(
                "user_script:1: Script attempted to access nonexistent global variable 'nosuch' script: on @user_script:1."
            )
        ),
    ),  # 'EVAL return nosuch 0'
    ("script_raise2", 4): Differs(
        fakeredis=Replies(
            ResponseError(
                "Error running script (call to f_e365308be1291b118d9464f7f3fef9799e2fe3c7): @user_script:?: error loading code: [string \"<python>\"]:1: '=' expected near 'is'"
            )
        )
    ),  # 'EVAL this is not lua 0'
    ("script_partial", 0): Differs(
        fakeredis=Replies(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")),
        valkey=Replies(
            ResponseError(
                "WRONGTYPE Operation against a key holding the wrong kind of value script: on @user_script:1."
            )
        ),
    ),  # "EVAL redis.call('SET','a',1) redis.call('SADD','a'"
    ("script_global", 0): Differs(
        fakeredis=Replies(ResponseError("Script attempted to set global variables: x")),
        valkey=Replies(ResponseError("user_script:1: Attempt to modify a readonly table script: on @user_script:1.")),
    ),  # 'EVAL x = 1 return x 0'
    ("script_blpop", 0): Differs(
        fakeredis=Replies(ResponseError("This Redis command is not allowed from scripts")), valkey=Replies(None)
    ),  # "EVAL return redis.call('BLPOP','none',0) 0"
    ("script_libs", 0): Differs(
        fakeredis=Replies(
            ResponseError(
                'Error running script (call to f_ddeab1100d2e54195bef18fd06edc3bc2e1b175c): @user_script:?: [string "<python>"]:1: attempt to index global \'cmsgpack\' (a nil value)\nstack traceback:\n\t[string "<python>"]:1: in main chunk'
            )
        )
    ),  # 'EVAL return #cmsgpack.pack({1,2}) 0'
    ("script_libs", 1): Differs(
        fakeredis=Replies(
            ResponseError(
                'Error running script (call to f_af66425d3482c35a4d7ec614a32827f404e27562): @user_script:?: [string "<python>"]:1: attempt to index global \'bit\' (a nil value)\nstack traceback:\n\t[string "<python>"]:1: in main chunk'
            )
        )
    ),  # 'EVAL return bit.band(6,3) 0'
    ("script_libs", 2): Differs(
        fakeredis=Replies(
            ResponseError(
                'Error running script (call to f_fa099ec3bcc700ad8f4e755fe45b1e9bdb897b82): @user_script:?: [string "<python>"]:1: attempt to index global \'struct\' (a nil value)\nstack traceback:\n\t[string "<python>"]:1: in main chunk'
            )
        )
    ),  # "EVAL return #struct.pack('>I4', 7) 0"
    ("script_shebang", 0): Differs(
        fakeredis=Replies(
            ResponseError(
                "Error running script (call to f_bc19725689df7358cf288113f5397cb6955d27bd): @user_script:?: error loading code: [string \"<python>\"]:1: unexpected symbol near '#'"
            )
        ),
        valkey=Replies(
            ResponseError("Write commands are not allowed from read-only scripts. script: on @user_script:2.")
        ),
    ),  # "EVAL #!lua flags=no-writes\nreturn redis.call('SET'"
    ("evalsha", 0): Differs(
        valkey=Replies(NoScriptError("No matching script."))
    ),  # 'EVALSHA 0000000000000000000000000000000000000000 0'
    ("unsubscribe_nothing", 0): Differs(fakeredis=Replies(Several())),  # 'UNSUBSCRIBE'
    ("unsubscribe_nothing", 1): Differs(fakeredis=Replies(Several())),  # 'PUNSUBSCRIBE'
    ("get_while_subscribed", 1): Differs(
        fakeredis=Replies(ResponseError("only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT allowed in this context"))
    ),  # 'GET x'
    ("connection", 3): Differs(fakeredis=Replies(b"")),  # 'CLIENT GETNAME'
    ("connection", 9): Differs(
        fakeredis=Replies(AuthenticationError("invalid username-password pair or user is disabled."))
    ),  # 'AUTH nope'
    ("object", 1): Differs(
        fakeredis=Replies(ResponseError("unknown command 'object', with args beginning with: "))
    ),  # 'OBJECT ENCODING a'
    ("object", 2): Differs(
        fakeredis=Replies(ResponseError("unknown command 'object', with args beginning with: "))
    ),  # 'OBJECT ENCODING none'
    ("object", 4): Differs(
        fakeredis=Replies(ResponseError("unknown command 'object', with args beginning with: "))
    ),  # 'OBJECT ENCODING s'
    ("object", 5): Differs(
        fakeredis=Replies(ResponseError("unknown command 'object', with args beginning with: ")), valkey=Replies(1)
    ),  # 'OBJECT REFCOUNT a'
    ("config", 0): Differs(
        fakeredis=Replies(ResponseError("unknown command 'config get', with args beginning with: "))
    ),  # 'CONFIG GET maxmemory-policy'
    ("config", 1): Differs(
        fakeredis=Replies(ResponseError("unknown command 'config get', with args beginning with: "))
    ),  # 'CONFIG GET nosuch'
    ("wait", 0): Differs(
        fakeredis=Replies(ResponseError("unknown command 'wait', with args beginning with: "))
    ),  # 'WAIT 0 1'
    ("hpexpire", 1): Differs(fakeredis=Replies([1]), valkey=Replies([1])),  # 'HPEXPIRE h 50 FIELDS 1 a'
    ("geo", 1): Differs(fakeredis=Replies(b"0", resp3=0.0)),  # 'GEODIST g a a'
    ("blocking_errors", 4): Differs(
        fakeredis=Replies(
            [
                ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
                ResponseError("timeout is negative"),
            ]
        )
    ),  # 'EXEC'
    ("about", 0): Differs(
        fakeredis=Replies(ResponseError("unknown command 'role', with args beginning with: "))
    ),  # 'ROLE'
    ("about", 1): Differs(
        fakeredis=Replies(ResponseError("unknown command 'memory', with args beginning with: "))
    ),  # 'MEMORY USAGE none'
    ("about", 2): Differs(
        fakeredis=Replies(ResponseError("unknown command 'cluster', with args beginning with: ")), valkey=Replies(15495)
    ),  # 'CLUSTER KEYSLOT a'
    ("about", 3): Differs(
        fakeredis=Replies(ResponseError("unknown command 'config get', with args beginning with: "))
    ),  # 'CONFIG GET nosuch'
}
