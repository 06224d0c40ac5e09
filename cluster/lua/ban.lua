-- Put or lift a ban, and tell all nodes.
--
-- KEYS[1] hash of all bans: JSON by "<kind>/<app>/<value>"
-- KEYS[2] hash: n counts the changes, id is made with it: a Redis that has lost all has another
-- ARGV[1] the field
-- ARGV[2] the ban as JSON ("": lift it)
-- ARGV[3] how many bans there may be
-- ARGV[4] channel
-- ARGV[5] the node
-- ARGV[6] an id, should there be none
--
-- Returns the counter, or -1 when there is no room for one more.
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
    return -1
  end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local n = redis.call('HINCRBY', KEYS[2], 'n', 1)
redis.call('HSETNX', KEYS[2], 'id', ARGV[6])
redis.call('PUBLISH', ARGV[4], n .. ' ' .. ARGV[5] .. ' ' .. ARGV[1] .. '\n' .. ARGV[2])
return n
