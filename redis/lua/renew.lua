-- Prolong a node's lease in a room, and say where the room is.
--
-- KEYS[1]  hash of the room, see read.lua
-- KEYS[2]  list, the log
-- KEYS[3]  sorted set of leases
-- ARGV[1]  the node's lease: "<fence>#<node>"
-- ARGV[2]  ms it lasts from now on
-- ARGV[3]  ms the room is kept when nobody renews anything in it
--
-- Returns {} when there is no room, else
-- {rid, seq, cid, now (ms), "1" held or "0", run-out leases [member, score, …]}
local meta = redis.call('HMGET', KEYS[1], 'rid', 'seq', 'cid')
if not meta[1] then
  return {}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = '0'
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[2]), ARGV[1])
  held = '1'
end
for i = 1, 3 do
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return {meta[1], meta[2], meta[3], string.format('%.0f', now), held,
  redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'WITHSCORES')}
