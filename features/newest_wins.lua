-- KEYS[1]: an entity's hash. ARGV: the field of a view's time, the time as a protobuf Timestamp, then its fields and values.
-- Writes them if the time is after the stored one; 1 if it did.
local function moment(text)
  local parts, at = {0, 0}, 1 -- seconds, nanoseconds
  while at <= #text do
    local number, value, scale, byte = math.floor(string.byte(text, at) / 8), 0, 1, 128
    while byte >= 128 do
      at = at + 1
      byte = string.byte(text, at)
      value, scale = value + byte % 128 * scale, scale * 128
    end
    parts[number], at = value, at + 1
  end
  return parts[1], parts[2]
end
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  local seconds, nanos = moment(stored)
  local new_seconds, new_nanos = moment(ARGV[2])
  if seconds > new_seconds or (seconds == new_seconds and nanos >= new_nanos) then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
