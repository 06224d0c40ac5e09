-- Forget entries that need not be kept any longer, by this clock, and take those that
-- a node knows and this Redis has lost; see ban.lua.
--
-- KEYS[1] hash of all entries
-- KEYS[2] hash: n, id
-- ARGV[1] channel
-- ARGV[2] an id for this change
-- ARGV[3] number of fields to forget, then these, then for each lost one: field, stamp,
--         ms in force, ms kept, JSON
--
-- Returns how many were taken.
local function int(x) return string.format('%.0f', x) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local over = tonumber(ARGV[3])
for i = 4, 3 + over do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  local keep = value and tonumber(string.match(value, '^%d+ %d+ (%d+) '))
  if value and (not keep or keep <= now) then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
local n = tonumber(redis.call('HGET', KEYS[2], 'n') or 0)
local taken = 0
for i = 4 + over, #ARGV, 5 do
  local stamp, has = tonumber(ARGV[i + 1]), redis.call('HGET', KEYS[1], ARGV[i])
  if not has or (tonumber(string.match(has, '^%d+')) or 0) < stamp then
    redis.call('HSET', KEYS[1], ARGV[i], int(stamp) .. ' ' .. int(now + ARGV[i + 2]) .. ' ' .. int(now + ARGV[i + 3]) .. ' ' .. ARGV[i + 4])
    n, taken = math.max(n, stamp), taken + 1
  end
end
if taken > 0 then
  redis.call('HSET', KEYS[2], 'n', int(n), 'id', ARGV[2])
  redis.call('PUBLISH', ARGV[1], 'many ' .. ARGV[2]) -- which follows nothing: all read anew
end
return taken
