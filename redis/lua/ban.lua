-- Put an entry into the list of what is forbidden, and tell all nodes.
--
-- KEYS[1] hash of all entries: "<stamp> <until> <keep> <JSON>" by "<kind>/<app>/<value>", times in ms of
--         this clock. The higher stamp is the newer one. An entry is in force before
--         until, and is kept to keep: a node that has missed that it is over learns it
-- KEYS[2] hash: n is the highest stamp, id the latest change
-- ARGV[1] the field
-- ARGV[2] the entry as JSON
-- ARGV[3] ms it is in force from now on
-- ARGV[4] ms it is kept from now on
-- ARGV[5] the highest stamp that the node has seen
-- ARGV[6] how many entries there may be
-- ARGV[7] channel
-- ARGV[8] the node
-- ARGV[9] an id for this change
--
-- Returns the entry's stamp, or -1 when there is no room for one more.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then
  return -1
end
local function int(x) return string.format('%.0f', x) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at = redis.call('HMGET', KEYS[2], 'n', 'id')
local n = math.max(tonumber(at[1] or 0), tonumber(ARGV[5])) + 1
local value = int(n) .. ' ' .. int(now + ARGV[3]) .. ' ' .. int(now + ARGV[4]) .. ' ' .. ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], value)
redis.call('HSET', KEYS[2], 'n', int(n), 'id', ARGV[9])
redis.call('PUBLISH', ARGV[7], (at[2] or '-') .. ' ' .. ARGV[9] .. ' ' .. ARGV[8] .. ' ' .. int(now) .. '\n' .. value)
return n
