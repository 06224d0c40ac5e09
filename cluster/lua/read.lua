-- Read what came after a position of a room, or all of it.
--
-- KEYS[1]  hash of the room: its records by field, and rid, seq, cid, fence
-- KEYS[2]  list, the log: "<commit id> <change as JSON>", the last is that of seq
-- KEYS[3]  sorted set of leases: "<fence>#<node>" by expiry (ms)
-- ARGV[1]  incarnation the caller has ("": none)
-- ARGV[2]  sequence the caller has
-- ARGV[3]  commit the caller has ("": any history will do)
--
-- Returns {} when there is no room, else
-- {"delta", rid, seq, cid, now (ms), leases [member, score, …], log}
-- {"full", rid, seq, cid, now (ms), leases [member, score, …], fields, what is kept of the log after that sequence}
local meta = redis.call('HMGET', KEYS[1], 'rid', 'seq', 'cid')
if not meta[1] then
  return {}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local leases = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
local reply = {'full', meta[1], meta[2], meta[3], string.format('%.0f', now), leases}

local n = tonumber(meta[2]) - tonumber(ARGV[2])
local kept = redis.call('LLEN', KEYS[2])
if meta[1] == ARGV[1] and n >= 0 and n <= kept then
  local same = true
  if ARGV[3] ~= '' then
    local at = meta[3]
    if n > 0 then
      local before = redis.call('LINDEX', KEYS[2], -1 - n)
      at = before and string.match(before, '^[^ ]*')
    end
    same = at == ARGV[3]
  end
  if same then
    reply[1] = 'delta'
    if n == 0 then
      reply[7] = {}
    else
      reply[7] = redis.call('LRANGE', KEYS[2], -n, -1)
    end
    return reply
  end
end
reply[7] = redis.call('HGETALL', KEYS[1])
reply[8] = {}
if meta[1] == ARGV[1] and n > 0 and kept > 0 then
  reply[8] = redis.call('LRANGE', KEYS[2], -math.min(n, kept), -1)
end
return reply
