-- Give a stream to a room, unless another room has it.
--
-- KEYS[1]  the room that has it
-- ARGV[1]  the room
-- ARGV[2]  ms; 0: give nothing, only say; -1: take it from this room
--
-- Returns which room has it, or "".
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then
  return has
end
if ARGV[2] == '-1' then
  redis.call('DEL', KEYS[1])
  return ''
end
if ARGV[2] == '0' then
  return has or ''
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
