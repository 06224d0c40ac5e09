-- Take a claim away, if it is still that one.
--
-- KEYS[1]  hash of the stream's origin, see origin.lua
-- ARGV[1]  the node, ARGV[2] its epoch
local old = redis.call('HMGET', KEYS[1], 'node', 'epoch')
if old[1] == ARGV[1] and old[2] == ARGV[2] then
  redis.call('DEL', KEYS[1])
end
return 1
