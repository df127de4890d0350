"""States: everything that is stored, and what replicas keep, with words for names and with nothing that varies."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from characterization.renaming import DRAWN, Renamer

if TYPE_CHECKING:
    from simulator.backend import Record


@dataclass(frozen=True, slots=True)
class Abstraction:
    """How a field that grows without end is taken when two states are compared; outcomes show it as it is.

    ``path`` is a pattern: ``main(*).relay_count``. ``limit``: every number above it is taken for it; none: the field is
    not looked at. ``of_keys``: the path is a word, and of the keys that it means only ``limit`` are looked at.
    """

    path: str
    limit: int | None
    of_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key, or one replica's own memory (kind ``memory``).

    ``value`` is plain: numbers, strings, lists, dicts, and frozensets of strings. ``ttl`` is ``7200s``, or ``none``.
    """

    kind: str
    ttl: str
    value: Any


class State:
    """What there is at one moment, by word. Immutable, and equal to a state with the same entries."""

    __slots__ = ("_entries", "_identities")

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(sorted(entries.items()))
        self._identities: dict[tuple[Abstraction, ...], str] = {}

    def words(self) -> list[str]:
        """The words, sorted."""
        return list(self._entries)

    def __getitem__(self, word: str) -> Entry:
        return self._entries[word]

    def __contains__(self, word: object) -> bool:
        return word in self._entries

    def entry(self, word: str) -> Entry | None:
        """One key with its kind and time to live; none where there is no such key."""
        return self._entries.get(word)

    def get(self, word: str) -> Any:
        """The value of one key; none where there is no such key."""
        entry = self._entries.get(word)
        return entry.value if entry is not None else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and list(self.leaves()) == list(other.leaves())

    def __hash__(self) -> int:
        return hash(self.identity(()))

    def leaves(self) -> Iterator[tuple[str, str]]:
        """Every path with its value as text: ``main(s1).relay_count``, ``main(s1) ttl``, ``index[s1]``."""
        for word, entry in self._entries.items():
            yield f"{word} kind", entry.kind
            if entry.kind != "memory":
                yield f"{word} ttl", entry.ttl
            yield from flat(word, entry.value)

    def _few(self, abstractions: Sequence[Abstraction]) -> Mapping[str, Entry]:
        """The entries, but of those whose word is capped only as many as the limit."""
        kept = dict(self._entries)
        for abstraction in abstractions:
            if abstraction.of_keys and abstraction.limit is not None:
                for word in [word for word in kept if matches(word, abstraction.path)][abstraction.limit :]:
                    del kept[word]
        return kept

    def identity(self, abstractions: Sequence[Abstraction], roles: Sequence[str] = DRAWN) -> str:
        """Ten hexadecimal digits that two states share when they are the same but for ``abstractions``.

        What carries a number because it was renamed (``uuid#2``: by one of ``roles``) is numbered as it appears here, since
        which draw it came from makes no other state.
        """
        chosen = tuple(abstractions)
        if chosen not in self._identities:
            kept = self._few(chosen)
            lines = sorted(
                _abstracted(State(kept).leaves() if len(kept) < len(self._entries) else self.leaves(), chosen)
            )
            text = renumbered("\n".join(lines), tuple(roles))
            self._identities[chosen] = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
        return self._identities[chosen]


def renumbered(text: str, roles: tuple[str, ...]) -> str:
    """``text`` with what carries a number because it was renamed, by one of ``roles``, numbered as it appears here."""
    if "#" not in text:
        return text
    seen: dict[str, str] = {}
    return _numbered(roles).sub(lambda match: seen.setdefault(match[0], f"{match[1]}#{len(seen) + 1}"), text)


@functools.lru_cache(maxsize=64)
def _numbered(roles: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, roles))})#\d+")


def _abstracted(leaves: Iterator[tuple[str, str]], abstractions: Sequence[Abstraction]) -> Iterator[str]:
    for path, value in leaves:
        shown: str | None = value
        for abstraction in abstractions:
            if not abstraction.of_keys and matches(path, abstraction.path):
                shown = _limited(value, abstraction.limit)
        if shown is not None:
            yield f"{path}={shown}"


def _limited(value: str, limit: int | None) -> str | None:
    if limit is None:
        return None
    try:
        return f"{min(float(value), limit):g}"
    except ValueError:
        return value


@functools.lru_cache(maxsize=65536)
def matches(path: str, pattern: str) -> bool:
    """Whether ``path`` is one that ``pattern`` means; ``*`` stands for anything, brackets for themselves."""
    return fnmatch.fnmatchcase(path, pattern.replace("[", "[[]"))


def flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The leaves of a plain value beneath ``path``. An empty collection is a leaf."""
    if isinstance(value, dict) and value:
        for key, part in sorted(value.items(), key=lambda item: str(item[0])):
            yield from flat(f"{path}.{key}", part)
    elif isinstance(value, frozenset) and value:
        for member in sorted(value):
            yield f"{path}[{member}]", "in"
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from flat(f"{path}[{place}]", part)
    else:
        yield path, scalar(value)


def scalar(value: Any) -> str:
    """One value as text, where a number and a string of the same digits stay different."""
    if isinstance(value, str):
        return value if _is_plain_word(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, frozenset):
        return "{}"
    return json.dumps(value, ensure_ascii=False)


@functools.lru_cache(maxsize=65536)
def _is_plain_word(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_\u0080-\uffff][^\s|\"]*", text)) and text not in ("true", "false", "null", "NaN")


class Words:
    """Words for keys, from the patterns that a subject declares: ``ha:{supplier}:index`` to ``index``."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = [(re.compile(_regex(pattern)), word) for pattern, word in patterns.items()]
        self._known: dict[bytes, str] = {}

    def of(self, key: bytes) -> str:
        """The word for ``key``: by the first pattern that fits, otherwise the key itself."""
        word = self._known.get(key)
        if word is None:
            word = self._known[key] = self._find(key.decode("utf-8", "backslashreplace"))
        return word

    def _find(self, key: str) -> str:
        for pattern, word in self._patterns:
            match = pattern.fullmatch(key)
            if match:
                return word.format(**match.groupdict())
        return key


def _regex(pattern: str) -> str:
    parts = re.split(r"\{(\w+)\}", pattern)
    return "".join(f"(?P<{part}>.*?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))


def entry_of(record: Record, renamer: Renamer) -> Entry:
    """A stored key, with nothing in it that varies. A string that holds JSON is taken apart, a number is a number."""
    ttl = "none" if record.ttl_ms is None else f"{record.ttl_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    match record.kind:
        case "string":
            value = _decoded(record.value, renamer)
        case "set":
            value = frozenset(renamer.text(text_of(member)) for member in record.value)
        case "hash" | "zset":
            value = {renamer.text(text_of(key)): _field(part, renamer) for key, part in record.value.items()}
        case "list":
            value = [_field(part, renamer) for part in record.value]
        case "stream":
            value = _stream(record, renamer)
        case _:
            value = text_of(record.value)
    return Entry(kind=record.kind, ttl=ttl, value=value)


def _decoded(raw: bytes, renamer: Renamer) -> Any:
    try:
        return plain(json.loads(raw), renamer) if raw[:1] in (b"{", b"[") else _field(raw, renamer)
    except ValueError:  # it only looked like JSON, and is shown as the text that it is
        return _field(raw, renamer)


def _field(raw: bytes, renamer: Renamer) -> Any:
    """A text that spells a number exactly as JSON would is taken as the number."""
    text = text_of(raw)
    renamed = renamer.text(text)
    if renamed == text and re.fullmatch(r"-?(0|[1-9]\d{0,14})", text):  # nor is it a token that has no letter in it
        return plain(int(text), renamer)
    return renamed


def _stream(record: Record, renamer: Renamer) -> Any:
    def name(ident: bytes) -> str:
        return renamer.text(ident.decode().replace("-", " ", 1)).replace(" ", "-", 1)

    entries = {
        name(ident): {text_of(k): _field(v, renamer) for k, v in fields.items()} for ident, fields in record.value
    }
    groups = {
        text_of(group): {
            "last": name(about["last"]),
            "pending": {name(ident): f"{text_of(consumer)} x{times}" for ident, consumer, times in about["pending"]},
        }
        for group, about in (record.groups or {}).items()
    }
    return {"entries": entries, "groups": groups}


def text_of(raw: bytes) -> str:
    """Bytes as text; those that are no text, by their hexadecimal digits."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"0x{raw.hex()}"
    return text if text.isprintable() else f"0x{raw.hex()}"


def plain(value: Any, renamer: Renamer) -> Any:
    """JSON's values with what varies renamed, and everything that has no order sorted."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return renamer.number(value) or value
    if isinstance(value, str):
        return renamer.text(_encodable(value))
    if isinstance(value, bytes):
        return renamer.text(text_of(value))
    if isinstance(value, Mapping):
        return {renamer.text(_name(key)): plain(part, renamer) for key, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return frozenset(renamer.text(_name(part)) for part in value)
    if isinstance(value, Sequence):
        return [plain(part, renamer) for part in value]
    return renamer.text(str(value))


def _name(value: object) -> str:
    return text_of(value) if isinstance(value, bytes) else _encodable(str(value))


def _encodable(text: str) -> str:
    """``text`` without halves of surrogate pairs, which JSON may hold and no file can."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def role_of(scrub: str) -> str:
    """What a scrubbed value is called: the last part of the scrub's path."""
    return re.split(r"[.\]\[ ]", scrub.rstrip("]"))[-1] or "value"


def scrub(value: Any, path: str, scrubs: Sequence[str], renamer: Renamer) -> Any:
    """``value`` with every part whose path a scrub names replaced by its role and number."""
    for pattern in scrubs:
        if matches(path, pattern):
            return renamer.scrubbed(role_of(pattern), str(value))
    if isinstance(value, dict):
        return {key: scrub(part, f"{path}.{key}", scrubs, renamer) for key, part in sorted(value.items())}
    if isinstance(value, list):
        return [scrub(part, f"{path}[{place}]", scrubs, renamer) for place, part in enumerate(value)]
    return value
