"""The services of the relay core after their refactor: the same interfaces on another layout.

    states          the two terminal states that came with it
    deduplicator    remembers relays in Redis only, and tells who was first
    fields          a session as the fields of a hash
    scripts         what runs inside Redis in one step
    store           keeps sessions as hashes; counts and creates atomically
    coordinator     overwrites nothing that another created or achieved

Start with ``store``; what it does differently is why the others can be simpler.
"""
