-- Keep a node's record, or take it away, and return those of all nodes.
--
-- KEYS[1]  hash: node's id -> "<until, ms> <boot> <address> <JSON>"
-- ARGV[1]  the node, ARGV[2] its boot, ARGV[3] its address, ARGV[4] its record, JSON
-- ARGV[5]  ms it is kept; 0: it leaves, and with no node nothing changes
--
-- Returns the records, or nil while another run, at another address, has the id. A time is never believed to be further ahead
-- than the ttl: a server's clock may have jumped.
local t = redis.call('TIME')
local now, ttl = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[5])
local all = redis.call('HGETALL', KEYS[1])
local records = {}
for i = 1, #all, 2 do
  local til, boot, address, json = string.match(all[i + 1], '^(%S+) (%S+) (%S+) (.*)$')
  local ahead = (tonumber(til) or 0) - now
  if ahead <= 0 or ttl > 0 and ahead > 2 * ttl then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    records[#records + 1] = json
  elseif boot ~= ARGV[2] and (ttl == 0 or address ~= ARGV[3]) then
    if ttl == 0 then
      return {} -- it is another run's
    end
    return nil
  end
end
if ttl == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return records
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ttl) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], 10 * ttl)
records[#records + 1] = ARGV[4]
return records
