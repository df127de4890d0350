"""Counts the relays of a supplier in sessions, and has the sessions claimed and proved in time.

    clock           where the time comes from
    errors          what the services raise
    keys            names of the keys in Redis
    replies         what Redis answered, as bytes
    metrics         what the deduplicator counts
    deduplicator    a relay arrives: was it counted already?
    session         a session as it is handed around, and its states
    timestamps      moments as text
    record          a session as JSON
    interfaces      what the parts may expect of each other
    coordinator     a relay is counted in its session; claims and proofs are noted
    store           keeps the sessions in Redis
    windows         which heights let a session be claimed or proved
    pool            so many transitions at once, and no more
    lifecycle       a block arrives: which sessions move?
    refactored      deduplicator, store and coordinator once more, on another layout

Start with ``store``: what the others can do to a session is what it offers. One supplier has one store,
one coordinator and one lifecycle manager in each process that owns it; a deduplicator serves them all.
"""
