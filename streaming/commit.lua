-- One partition's commit, all or nothing, only if the stored offset is the expected one.
-- KEYS: meta, names (set of segment names), outbox, then one key per append, replace and delete.
-- ARGV: expected offset ('' = no state), offset, outbox value ('' = none), number of meta fields and values, of appends,
--       of replaces, of deletes; meta fields and values; then (name, bytes) per append and replace, (name) per delete.
local found = redis.call('HGET', KEYS[1], 'offset') or ''
if found ~= ARGV[1] then return {0, found} end
local metas, appends, replaces, deletes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local arg, key = 8, 4
for _ = 1, metas, 2 do
  redis.call('HSET', KEYS[1], ARGV[arg], ARGV[arg + 1])
  arg = arg + 2
end
for i = 1, appends + replaces do
  redis.call(i <= appends and 'APPEND' or 'SET', KEYS[key], ARGV[arg + 1])
  redis.call('SADD', KEYS[2], ARGV[arg])
  arg, key = arg + 2, key + 1
end
for _ = 1, deletes do
  redis.call('DEL', KEYS[key])
  redis.call('SREM', KEYS[2], ARGV[arg])
  arg, key = arg + 1, key + 1
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[3], ARGV[2], ARGV[3]) end
redis.call('HSET', KEYS[1], 'offset', ARGV[2])
return {1, ARGV[2]}
