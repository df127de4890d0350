"""Lua that the store runs inside Redis, each script in one step.

Sent as text with EVAL, so that a call is one command whatever the server has cached. KEYS[1] is always
the hash of a session. A key of another type makes each of them fail with WRONGTYPE before it writes.
"""

INCREMENT_RELAY_COUNT = """\
-- ARGV: units, now, time to live, terminal states...
if redis.call('EXISTS', KEYS[1]) == 0 then
    return {'missing'}
end
local state = redis.call('HGET', KEYS[1], 'state')
for i = 4, #ARGV do
    if state == ARGV[i] then
        return {'terminal', state}
    end
end
redis.call('HINCRBY', KEYS[1], 'relay_count', 1)
redis.call('HINCRBY', KEYS[1], 'total_compute_units', ARGV[1])
redis.call('HSET', KEYS[1], 'last_updated_at', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {'counted'}
"""

UPDATE_STATE = """\
-- ARGV: new state, now, time to live. The old state, or nil if there is no session.
if redis.call('EXISTS', KEYS[1]) == 0 then
    return nil
end
local old_state = redis.call('HGET', KEYS[1], 'state') or ''
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'last_updated_at', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return old_state
"""

CREATE_IF_ABSENT = """\
-- ARGV: time to live, then fields and values.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
