-- Make one step of a room, or none: compare the position, check the node's lease,
-- write fields and log, move the position, tell the other nodes.
--
-- KEYS[1]  hash of the room, see read.lua
-- KEYS[2]  list, the log
-- KEYS[3]  sorted set of leases
-- KEYS[4]  where a room that ends leaves its log, see read.lua
-- KEYS[5]  what is known of the room while it is not here, see recall.lua
-- ARGV[1]  incarnation the room must have ("": it must not exist)
-- ARGV[2]  sequence it must have
-- ARGV[3]  commit it must have
-- ARGV[4]  incarnation from now on
-- ARGV[5]  id of this commit
-- ARGV[6]  sequence from now on ("": unchanged)
-- ARGV[7]  "replace": forget all fields and the log first; "drop": the room ends; else ""
-- ARGV[8]  the node
-- ARGV[9]  fence of its lease; "0": take one
-- ARGV[10] a new lease's fence is higher than this
-- ARGV[11] ms the lease lasts from now on
-- ARGV[12] ms the room is kept when nobody renews anything in it
-- ARGV[13] length of the log at most
-- ARGV[14] channel of the notice
-- ARGV[15] the notice ("": none)
-- ARGV[16] "1": the records follow the notice, a line each
-- ARGV[17] number s of fields to set, [18] d to delete, [19] r of records, [20] e of leases
-- then s pairs field, value; d fields; r records (JSON); e pairs of a lease that must
-- have run out ("<fence>#<node>") and "1" when it ends, else "0"
--
-- Returns {"ok", fence}, {"conflict"} or {"fenced"}.
local h, log, leases = KEYS[1], KEYS[2], KEYS[3]
local meta = redis.call('HMGET', h, 'rid', 'seq', 'cid', 'fence')
if (meta[1] or '') ~= ARGV[1] then
  return {'conflict'}
end
if meta[1] and (meta[2] ~= ARGV[2] or meta[3] ~= ARGV[3]) then
  return {'conflict'}
end
local drop = ARGV[7] == 'drop'
if not meta[1] and drop then
  return {'ok', '0'}
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local s, d, r, e = tonumber(ARGV[17]), tonumber(ARGV[18]), tonumber(ARGV[19]), tonumber(ARGV[20])
local at = 20 + 2 * s + d + r
for i = 1, e do
  local score = redis.call('ZSCORE', leases, ARGV[at + 2 * i - 1])
  if score and tonumber(score) > now then
    return {'conflict'}
  end
end

local fence = ARGV[9]
if fence == '0' then
  local old = redis.call('ZRANGE', leases, 0, -1)
  for _, member in ipairs(old) do
    if string.match(member, '^%d+#(.*)$') == ARGV[8] then
      redis.call('ZREM', leases, member)
    end
  end
  local n = math.max(tonumber(meta[4] or '0'), tonumber(ARGV[10])) + 1
  fence = string.format('%.0f', n)
  redis.call('HSET', h, 'fence', fence)
elseif not redis.call('ZSCORE', leases, fence .. '#' .. ARGV[8]) then
  return {'fenced'}
end

if drop then
  if r > 0 then
    for i = 1, r do
      redis.call('RPUSH', log, ARGV[5] .. ' ' .. ARGV[20 + 2 * s + d + i])
    end
    redis.call('LTRIM', log, -tonumber(ARGV[13]) - r, -1) -- the last step as a whole
    redis.call('RPUSH', log, ARGV[6] .. ' ' .. ARGV[5])
    redis.call('RENAME', log, KEYS[4])
    redis.call('PEXPIRE', KEYS[4], ARGV[12])
    redis.call('SET', KEYS[5], 'ended', 'PX', ARGV[12])
  end
  redis.call('DEL', h, log, leases)
else
  if not meta[1] then
    redis.call('DEL', KEYS[5])
  end
  redis.call('ZADD', leases, now + tonumber(ARGV[11]), fence .. '#' .. ARGV[8])
  for i = 1, e do
    if ARGV[at + 2 * i] == '1' then
      redis.call('ZREM', leases, ARGV[at + 2 * i - 1])
    end
  end
  if ARGV[7] == 'replace' then
    redis.call('DEL', h, log)
    redis.call('HSET', h, 'fence', fence)
  end
  for i = 1, s do
    redis.call('HSET', h, ARGV[19 + 2 * i], ARGV[20 + 2 * i])
  end
  for i = 1, d do
    redis.call('HDEL', h, ARGV[20 + 2 * s + i])
  end
  for i = 1, r do
    redis.call('RPUSH', log, ARGV[5] .. ' ' .. ARGV[20 + 2 * s + d + i])
  end
  redis.call('HSET', h, 'rid', ARGV[4])
  if ARGV[6] ~= '' then
    redis.call('LTRIM', log, -tonumber(ARGV[13]), -1)
    redis.call('HSET', h, 'seq', ARGV[6], 'cid', ARGV[5])
  end
  redis.call('PEXPIRE', h, ARGV[12])
  redis.call('PEXPIRE', log, ARGV[12])
  redis.call('PEXPIRE', leases, ARGV[12])
end

if ARGV[15] ~= '' then
  local parts = {ARGV[15]}
  if ARGV[16] == '1' then
    for i = 1, r do
      parts[i + 1] = ARGV[20 + 2 * s + d + i]
    end
  end
  redis.call('PUBLISH', ARGV[14], table.concat(parts, '\n'))
end
return {'ok', fence}
