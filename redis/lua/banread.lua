-- Say how far the list of what is forbidden is; see ban.lua.
--
-- KEYS[1] hash: n, id
--
-- Returns {ms now, n, id}.
local t = redis.call('TIME')
local at = redis.call('HMGET', KEYS[1], 'n', 'id')
return {t[1] * 1000 + math.floor(t[2] / 1000), at[1] or '0', at[2] or ''}
