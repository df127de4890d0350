"""Worlds in which a service runs, one step at a time.

    clock         time that moves only when told to
    seed          one number, from which everything random is forked by name
    virtual       the standard library's time and chance, answered by the clock and the seed
    refusing      threads, sockets and processes, refused with the line of the service that asked
    loop          an asyncio event loop in virtual time
    watchdog      notices a callback of that loop that does not come to its end
    connection    redis-py's asyncio client, unmodified, on the gate
    gate          where a command waits for its turn
    faults        what goes wrong, and at which step
    origin        which line of the service is at work
    backend       what the gate asks of a Redis, whichever it is
    fake          fakeredis as that Redis, in this process
    remote        a real server as that Redis
    server        real servers, started and ended here, their clocks moved
    contents      everything that a Redis holds
    events        callbacks, log events and metrics, as they are observed
    chain         a chain that produces blocks when told to
    footprint     which keys a step reads and which it writes
    schedule      who takes the next step, and those who choose it
    explore       schedules: all that differ, those with few preemptions, a sample, one again, one made short
    errors        what a world refuses, with what to do
    world         all of these together, but for schedules
    race          clients at once in a world, under a scheduler

Start with ``world``: what it hands out is all that a service sees.
"""
