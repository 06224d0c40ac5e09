-- Note, or prolong, a node's claim to have the publisher of a stream.
--
-- KEYS[1]  hash of the stream's origin: node, epoch, asked, user, room
-- ARGV[1]  the node
-- ARGV[2]  the epoch that it asks for, decimal
-- ARGV[3]  user of the publisher, ARGV[4] its room
-- ARGV[5]  ms the claim is kept
-- ARGV[6]  "1": a new claim, which gets the next epoch where another stands; "0": one that is renewed, and loses to a higher one
--
-- Epochs are text: as numbers, Lua would write large ones with an exponent. Returns {node, epoch, user, room} of what stands now.
local function less(a, b)
  return #a < #b or #a == #b and a < b
end
local old = redis.call('HMGET', KEYS[1], 'node', 'epoch', 'asked', 'user', 'room')
local node, epoch, asked = ARGV[1], ARGV[2], ARGV[2]
if old[2] and not less(old[2], epoch) then
  local same = old[1] == node and (old[2] == epoch or old[3] == epoch and ARGV[6] == '1')
  if same then
    epoch, asked = old[2], old[3]
  elseif ARGV[6] == '1' then
    epoch = string.format('%.0f', tonumber(old[2]) + 1)
  else
    return {old[1], old[2], old[4], old[5]}
  end
end
redis.call('HSET', KEYS[1], 'node', node, 'epoch', epoch, 'asked', asked, 'user', ARGV[3], 'room', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {node, epoch, ARGV[3], ARGV[4]}
