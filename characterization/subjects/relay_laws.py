"""What the authors of the relay core believe of it: its laws, as small models that share its words and none of its code.

A subject takes them by inheriting, and says which of its operations count, write hashes, or take a record away.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from characterization.program import AtOnce, Move
from characterization.state import State
from characterization.subject import Answered, Run, Subject, law

TERMINAL = frozenset(
    ("claim_window_closed", "claim_tx_error", "proved", "probabilistic_proved", "proof_window_closed", "proof_tx_error",
     "claim_skipped", "claim_missing")
)  # fmt: skip
HASHES = ("claim_tx_hash", "proof_tx_hash", "settlement_tx_hash")
_STAMPS = ("last_updated_at", "created_at")
_COUNTERS = ("relay_count", "total_compute_units")

Record = Mapping[str, Any]


def records(state: State) -> dict[str, Record]:
    """The sessions' records by id."""
    found = [(word[5:-1], state.get(word)) for word in state.words() if word.startswith("main(")]
    return {session: record for session, record in found if isinstance(record, dict)}


def filed(state: State) -> dict[str, set[str]]:
    """In the index of which states each id is."""
    found: dict[str, set[str]] = {}
    for word in state.words():
        for session in state.get(word) if word.startswith("state:") else ():
            found.setdefault(session, set()).add(word.removeprefix("state:"))
    return found


def version(record: Record | None) -> Record | None:
    """A record without its stamps, and without what may as well be left out because it is empty.

    A value is its spelling: a text of digits is seen as a number in one layout, and as the text in another.
    """
    if record is None:
        return None
    kept = {name: str(value) for name, value in record.items() if not _left_out(name, value)}
    return kept | ({"claimed_root_hash": "there"} if "claimed_root_hash" in kept else {})


def _left_out(name: str, value: Any) -> bool:
    return name in _STAMPS or value in ("", None) or (name in _COUNTERS and value == 0)


def created(session: str, **fields: Any) -> Record:
    """The version that a new session begins with."""
    return {
        "session_id": session, "supplier_operator_address": "sup1", "service_id": "svc", "application_address": "app",
        "session_start_height": 101, "session_end_height": 104, "state": "active", **fields,
    }  # fmt: skip


def counters(record: Record | None) -> Record:
    """What of a record is only ever counted up."""
    return {name: record[name] for name in _COUNTERS if record.get(name)} if record is not None else {}


def passed(run: Run) -> float:
    """How many seconds went by in the step, on purpose or because somebody waited."""
    last = run.parts.parts[-1] if run.parts.parts else None
    moved = sum(last.moves) if isinstance(last, AtOnce) else last.seconds if isinstance(last, Move) else 0.0
    return moved + run.elapsed


class Expiring(Subject):
    """A subject all of whose keys are to be forgotten in time: within ``ttl_s`` seconds."""

    ttl_s: ClassVar[float]

    def expires(self, run: Run, word: str) -> bool:
        """Whether a key may have expired in the step: what it had left, or has from its first write on, has passed."""
        entry = run.before.entry(word)
        left = self.ttl_s if entry is None or entry.ttl == "none" else float(entry.ttl[:-1])
        return passed(run) > 0 and passed(run) >= left

    @law
    def every_key_has_a_time_to_live_within_the_configured(self, run: Run) -> None:
        """A key that never expires fills Redis up; one that expires later than configured is paid for by nobody."""
        run.assume(not run.tampered)
        stored = [(word, run.after[word]) for word in run.after.words() if run.after[word].kind != "memory"]
        run.assume(stored)
        for word, entry in stored:
            said = f"{word} has the time to live {entry.ttl}, configured are {self.ttl_s:g}s"
            assert entry.ttl != "none", said
            left, old = float(entry.ttl[:-1]), run.before.entry(word)
            # At the very moment at which it expires, a key that was written before has nothing left.
            waits = run.seconds > 0 or (old is not None and old.ttl == entry.ttl)
            assert 0 < left <= self.ttl_s or (left == 0 and waits), said


class Closing(Subject):
    """A subject with ``close``; ``starting`` is what begins work in the background."""

    starting: ClassVar[str] = "start"

    @law
    def close_is_idempotent(self, run: Run) -> None:
        """Who shuts down does not know what else has been shut down already."""
        closes = [call for call in run.calls if call.operation == "close"]
        run.assume(closes and len(closes) == len(run.calls))
        closed = {call.replica for call in run.earlier if call.operation == "close"}
        at_once = Counter(call.replica for call in closes)
        run.assume(all(call.replica in closed or at_once[call.replica] > 1 for call in closes) and not run.seconds)
        for call in closes:
            struck = call.in_doubt and not call.again
            assert struck or not call.raised, f"close, once more, {call.answer}"
        if all(call.replica in closed and not call.in_doubt for call in closes):
            assert run.before == run.after, "close, once more, changes something"
            assert not run.events, f"close, once more, shows {run.events[0]}"

    @law
    def close_leaves_no_task_behind(self, run: Run) -> None:
        """A task that outlives its service acts on what it knew, and keeps the process from ending."""
        closing = {call.replica for call in run.calls if call.operation == "close" and call.acknowledged}
        run.assume(closing)
        gone = closing | {call.replica for call in run.earlier if call.operation == "close"}
        begun = [call.replica for call in run.earlier if call.operation == self.starting]
        begun += [
            call.replica for call in run.calls
            if call.operation == self.starting and (call.acknowledged or call.in_doubt)
        ]  # fmt: skip
        others = sum(replica not in gone for replica in begun)
        assert run.tasks <= others, f"{run.tasks} tasks go on, of which others may have begun {others}"


class Sessions(Expiring, Closing):
    """A subject whose sessions are records ``main(id)``, with the indexes ``index`` and ``state:...``."""

    ttl_s = 7200

    # What the operations of a subject mean, as far as laws need it.

    def session_of(self, call: Answered) -> str:
        """The session that a call is about; empty: none in particular."""
        saved = call.operation == "save"  # whose label says more of the session than its id
        return call.labels[0].partition("-" if saved else "\0")[0] if call.labels else ""

    def removes(self, call: Answered) -> bool:
        """Whether the call takes a record away on purpose."""
        return call.operation == "delete"

    def enters(self, call: Answered) -> str:
        """The state to which the call moves its session; empty: it moves none."""
        return call.labels[1] if call.operation == "update_state" else ""

    def foreign(self, call: Answered) -> bool:  # noqa: ARG002 - for subclasses
        """Whether it is another service's doing, which is not this one's to answer for."""
        return False

    def versions(self, call: Answered, old: Record | None) -> list[Record | None]:
        """What the record of the call's session may be, beside ``old``, once the call has been done."""
        return [{**old, "state": self.enters(call)}] if old is not None and self.enters(call) else []

    def entered(self, call: Answered, run: Run) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the call has certainly moved its session to a terminal state, were it only for a moment."""
        return call.acknowledged and self.enters(call) in TERMINAL

    def acts(self, run: Run) -> bool:
        """Whether something in the step is this service's doing, or nobody's."""
        return not run.calls or not all(map(self.foreign, run.calls))

    def disturbed(self, call: Answered, run: Run) -> bool:
        """Whether another service wrote the call's session at the same time, and may have undone what the call did."""
        session = self.session_of(call)
        others = [other for other in run.calls if other is not call and self.foreign(other)]
        return any(self.session_of(other) == session for other in others)

    def may_go(self, run: Run, session: str) -> bool:
        """Whether the session's record may be gone, or have come anew, in the step: on purpose, or because it expired."""
        removed = any(self.removes(call) and self.session_of(call) == session for call in run.calls)
        return removed or self.expires(run, f"main({session})")

    def _stay(self, run: Run) -> dict[str, tuple[Record | None, Record]]:
        """The records that were or are there and may not go, each as it was and as it is: empty where it is gone."""
        before, after = records(run.before), records(run.after)
        return {
            session: (before.get(session), after.get(session, {}))
            for session in sorted({*before, *after})
            if not self.may_go(run, session)
        }

    @law
    def an_id_is_in_exactly_one_state_index(self, run: Run) -> None:
        """That of its stored state; otherwise the lifecycle sees a session twice, or never."""
        run.assume(not run.tampered)
        stored, indexed = records(run.after), filed(run.after)
        run.assume(stored or indexed or records(run.before))
        for session in sorted({*stored, *indexed}):
            wanted = {str(stored[session].get("state", "in no state"))} if session in stored else set()
            found = indexed.get(session, set())
            said = f"{session} is {_or(wanted, 'not stored')}, and in the index of {_or(found, 'no state')}"
            assert found == wanted, said

    @law
    def an_id_is_in_the_supplier_index_iff_its_record_exists(self, run: Run) -> None:
        """The index is all that a miner has when it starts: what is not in it is never claimed."""
        run.assume(not run.tampered)
        stored, indexed = set(records(run.after)), set(run.after.get("index") or ())
        run.assume(stored or indexed or records(run.before))
        assert stored == indexed, f"stored are {_or(stored, 'none')}, in the index are {_or(indexed, 'none')}"

    @law
    def a_terminal_state_is_final(self, run: Run) -> None:
        """What was settled, or given up, has been told to others, and cannot be taken back."""
        run.assume(not run.tampered)
        decided = False
        for session, (old, new) in self._stay(run).items():
            about = [call for call in run.calls if self.session_of(call) in (session, "")]
            ends = self._ends_of(run, about, str(old.get("state")) if old is not None else "")
            if ends:
                decided = True
                assert len(ends) == 1, f"{session} was, or had become, {_or(ends, '')}, one after another"
                said = f"{session} was, or had become, {_or(ends, '')}, and is {new.get('state', 'not stored')}"
                assert new.get("state") in ends, said
        run.assume(decided)

    def _ends_of(self, run: Run, about: Sequence[Answered], was: str) -> set[str]:
        """The terminal states that a session ``was`` in, or has entered by calls that are ``about`` it.

        Not one that another service may have undone: in which it began, if that service moves it; which it has entered,
        if that service writes it at the same time.
        """
        moved = any(self.foreign(call) and self.enters(call) for call in about)
        ends = {was} if was in TERMINAL and not moved else set()
        if len(run.calls) < 2 or run.repeated or not self.acts(run):
            return ends
        entered = [call for call in about if self.entered(call, run) and not self.disturbed(call, run)]
        return ends | set(map(self.enters, entered))

    @law
    def an_error_leaves_the_old_or_the_new_version(self, run: Run) -> None:
        """And never a reset one: whoever is told of an error tries again, and counts on what was there."""
        run.assume(not run.tampered)
        run.assume(run.failed and len(run.calls) == 1 and not run.seconds)
        (call,) = run.calls
        before, after = records(run.before), records(run.after)
        session = self.session_of(call)
        for each in sorted({*before, *after}):
            old, new = before.get(each), version(after.get(each))
            concerned = each == session or not session
            wanted = [old, *(self.versions(call, old) if concerned else ())]
            assert new in [version(one) for one in wanted], _otherwise(each, old, after.get(each))


def _or(words: set[Any], nothing: str) -> str:
    return " and ".join(sorted(map(str, words))) or nothing


def _otherwise(session: str, old: Record | None, new: Record | None) -> str:
    """In which fields a record is neither what it was nor what it was to become."""
    if old is None or new is None:
        return f"{session} was {'not there' if old is None else 'there'}, and is neither that nor what it was to become"
    one, other = version(old) or {}, version(new) or {}
    names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    return f"{session}: " + ", ".join(f"{name} was {one.get(name)}, is {other.get(name)}" for name in names)


class Counting(Sessions):
    """Sessions in which relays are counted, and hashes of transactions are kept."""

    def counts(self, call: Answered) -> bool:
        """Whether the call is there to count one relay of its session."""
        return call.operation == "increment_relay_count"

    def owed(self, call: Answered, run: Run) -> bool:
        """Whether whoever made the call may take its relay for counted, whatever this service has done meanwhile."""
        return call.acknowledged and not self.disturbed(call, run)

    def hash_of(self, call: Answered) -> str:
        """The field of the transaction hash that the call has kept; empty: none."""
        named = {"save": "claim_tx_hash" if "claimed" in "".join(call.labels) else ""}
        return {**named, "update_settlement_metadata": "settlement_tx_hash"}.get(call.operation, "")

    def _relays(self, run: Run, session: str, told: Callable[[Answered], bool]) -> int:
        """How many relays of ``session`` were to be counted of which ``told`` is true, one that came again as one."""
        made = [call for call in run.calls if self.counts(call) and self.session_of(call) == session]
        again = any(call.again for call in made)
        return 1 * any(map(told, made)) if again else sum(map(told, made))

    @law
    def no_acknowledged_relay_is_lost(self, run: Run) -> None:
        """A relay that is not in the count is lost income: whatever else happens, the count only grows."""
        run.assume(not run.tampered and self.acts(run))
        stay, decided = self._stay(run), False
        for session in sorted({*stay, *(self.session_of(call) for call in run.calls if self.counts(call))}):
            if self.may_go(run, session):
                continue
            relays = self._relays(run, session, lambda call: self.owed(call, run))
            old, new = stay.get(session, (None, {}))
            had, has = counted(old), counted(new)
            if old is not None or relays:
                decided = True
                assert has >= had + relays, (
                    f"{session}: counted were {had}, acknowledged {relays} more, there are {has}"
                )
        run.assume(decided)

    @law
    def no_relay_is_counted_twice(self, run: Run) -> None:
        """A relay that is counted twice is fraud, also where it was delivered again."""
        run.assume(not run.tampered and self.acts(run))
        before, decided = records(run.before), False
        for session, new in records(run.after).items():  # also if it came anew: then it had nothing of the old ones
            relays = self._relays(run, session, lambda call: call.acknowledged or call.in_doubt)
            old = before.get(session)
            had, has = counted(old), counted(new)
            if old is not None or relays:
                decided = True
                assert has <= had + relays, (
                    f"{session}: counted were {had}, at most {relays} more came, there are {has}"
                )
        run.assume(decided)

    @law
    def a_terminal_session_counts_no_relays(self, run: Run) -> None:
        """What was settled is settled: a relay that is counted later is never paid."""
        run.assume(not run.tampered and self.acts(run))
        ended = {
            s: pair for s, pair in self._stay(run).items() if pair[0] is not None and pair[0].get("state") in TERMINAL
        }
        if len(run.calls) > 1:  # what another call has begun anew meanwhile is another law's matter
            ended = {session: pair for session, pair in ended.items() if pair[1].get("state") in TERMINAL}
        run.assume(ended)
        for session, (old, new) in ended.items():
            assert counted(new) <= counted(old), (
                f"{session}: {counted(old)} relays were settled, now it has {counted(new)}"
            )

    @law
    def a_transaction_hash_never_disappears(self, run: Run) -> None:
        """It is the only way to find the claim, the proof or the settlement on the chain again."""
        run.assume(not run.tampered and self.acts(run))
        decided = False
        for session, (old, new) in self._stay(run).items():
            for name in HASHES:
                written = [
                    call for call in run.calls if self.session_of(call) == session and self.hash_of(call) == name
                ]
                was, now = (old or {}).get(name), new.get(name)
                if was or any(call.acknowledged and not self.disturbed(call, run) for call in written):
                    decided = True
                    assert now, f"{session}: {name} was kept, and is gone"
                    assert written or now == was, f"{session}: {name} was {was}, and is {now}"
        run.assume(decided)


def counted(record: Record | None) -> int:
    """How many relays a record says were counted."""
    return int(record.get("relay_count") or 0) if record is not None else 0


_TEXT = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # as Python spells one
_CREATED = re.compile(rf"callback created\(SessionSnapshot\(session_id={_TEXT}")
_TERMINAL = re.compile(rf"callback terminal\({_TEXT}, {_TEXT}\)")
_PROVED = re.compile(rf"callback proved\({_TEXT}\)")


def told_created(run: Run) -> Counter[str]:
    """How often each session was announced as created."""
    return Counter(ast.literal_eval(match[1]) for event in run.events if (match := _CREATED.match(event)))


def told_terminal(run: Run) -> dict[str, list[str]]:
    """The terminal states that were announced of each session."""
    told: dict[str, list[str]] = {}
    for event in run.events:
        if match := _TERMINAL.match(event):
            told.setdefault(ast.literal_eval(match[1]), []).append(ast.literal_eval(match[2]))
        elif match := _PROVED.match(event):
            told.setdefault(ast.literal_eval(match[1]), []).append("proved")
    return told


class TellingOfEnds(Sessions):
    """Sessions whose end is told to whoever asked."""

    @law
    def a_terminal_callback_comes_iff_the_stored_state_became_terminal(self, run: Run) -> None:
        """Who is told lets go of the session; who is not told keeps it for ever."""
        run.assume(not run.tampered)
        run.assume(not any(map(self.foreign, run.calls)))
        before, after, told = records(run.before), records(run.after), told_terminal(run)
        became = {
            session: str(record.get("state"))
            for session, record in after.items()
            if record.get("state") in TERMINAL and before.get(session, {}).get("state") != record.get("state")
        }
        sessions = [session for session in sorted({*told, *became}) if not self.may_go(run, session)]
        run.assume(sessions)
        for session in sessions:
            wanted = [became[session]] if session in became else []
            found = told.get(session, [])
            said = (
                f"{session} became {_or(set(wanted), 'nothing terminal')}, told was {' and '.join(found) or 'nothing'}"
            )
            assert found == wanted, said


class TellingOfBeginnings(Sessions):
    """Sessions whose beginning is told to whoever asked."""

    @law
    def one_created_callback_comes_for_each_session(self, run: Run) -> None:
        """Who is told twice tracks a session twice; who is never told never claims it."""
        run.assume(not run.tampered)
        before, after, told = records(run.before), records(run.after), told_created(run)
        came = {session for session in after if session not in before}
        sessions = [session for session in sorted({*came, *told}) if not self.may_go(run, session)]
        run.assume(sessions)
        for session in sessions:
            wanted = int(session in came)
            assert told[session] == wanted, f"{session} was created {wanted} times, told were {told[session]} creations"
