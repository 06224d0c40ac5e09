-- Have all nodes look after a room that is not here, though a member comes back to it: it may have
-- been lost, and a node may have it.
--
-- KEYS[1] hash of the room, see read.lua
-- KEYS[2] what is known of the room while it is not here: "ended", or since when it is asked for (ms)
-- ARGV[1] ms that is remembered
-- ARGV[2] channel of the room's notices
-- ARGV[3] the notice
--
-- Returns for how many ms it has been asked for, or -1: it is not lost, it has ended.
local at = redis.call('GET', KEYS[2])
if at == 'ended' and redis.call('EXISTS', KEYS[1]) == 0 then
  return -1
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local since = tonumber(at or '')
if not since then
  since = now
  redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', ARGV[1])
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return math.max(0, now - since)
