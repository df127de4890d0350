"""Reference services to characterize: ordinary production code that knows nothing of being tested.

    relay    counts relays in sessions, and has the sessions claimed and proved

The services of one package know nothing of another's. All of them get their Redis client, their clock
and their callbacks handed in. Start with ``relay``.
"""
