-- Read what came after a position of a room, or all of it.
--
-- KEYS[1]  hash of the room: its records by field, and rid, seq, cid, fence
-- KEYS[2]  list, the log: "<commit id> <change as JSON>", the last is that of seq
-- KEYS[3]  sorted set of leases: "<fence>#<node>" by expiry (ms)
-- KEYS[4]  the log of the caller's incarnation, should that have ended lately, and behind it "<seq> <cid>", its last
-- ARGV[1]  incarnation the caller has ("": none)
-- ARGV[2]  sequence the caller has
-- ARGV[3]  commit the caller has ("": any history will do)
--
-- Returns {} when there is no room, else
-- {"delta", rid, seq, cid, now (ms), leases [member, score, …], log}
-- {"full", rid, seq, cid, now (ms), leases [member, score, …], fields, what is kept of the log after that sequence}
-- {"ended", rid, seq, cid, now (ms), {}, log}, or "ended full" when the log does not reach back to the position
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))

-- after returns what a log, but for its last behind entries, has after the caller's position, if that is in it.
local function after(log, behind, seq, cid)
  local n = tonumber(seq) - tonumber(ARGV[2])
  if n < 0 or n > redis.call('LLEN', log) - behind then
    return nil
  end
  if ARGV[3] ~= '' then
    local at = cid
    if n > 0 then
      local before = redis.call('LINDEX', log, -1 - n - behind)
      at = before and string.match(before, '^[^ ]*')
    end
    if at ~= ARGV[3] then
      return nil
    end
  end
  if n == 0 then
    return {}
  end
  return redis.call('LRANGE', log, -n - behind, -1 - behind)
end

local meta = redis.call('HMGET', KEYS[1], 'rid', 'seq', 'cid')
if ARGV[1] ~= '' and meta[1] ~= ARGV[1] then
  local last = redis.call('LINDEX', KEYS[4], -1)
  if last then
    local seq, cid = string.match(last, '^(%d+) (.*)$')
    local log = after(KEYS[4], 1, seq, cid)
    return {log and 'ended' or 'ended full', ARGV[1], seq, cid, now, {}, log or {}}
  end
end
if not meta[1] then
  return {}
end
local leases = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
local reply = {'full', meta[1], meta[2], meta[3], now, leases}
if meta[1] == ARGV[1] then
  local log = after(KEYS[2], 0, meta[2], meta[3])
  if log then
    reply[1], reply[7] = 'delta', log
    return reply
  end
end
reply[7] = redis.call('HGETALL', KEYS[1])
reply[8] = {}
local n, kept = tonumber(meta[2]) - tonumber(ARGV[2]), redis.call('LLEN', KEYS[2])
if meta[1] == ARGV[1] and n > 0 and kept > 0 then
  reply[8] = redis.call('LRANGE', KEYS[2], -math.min(n, kept), -1)
end
return reply
