-- Generic cell rate algorithm, one TAT (theoretical arrival time, microseconds) per key.
-- ARGV[1]: 'settle' records what was already let through, 'take' records only what fits.
-- Then per key: interval (us), window (us), cost. Answers per key: microseconds to wait, 0 if there is room.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local waits = {}
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[3 * i - 1])
  local window = tonumber(ARGV[3 * i])
  local cost = tonumber(ARGV[3 * i + 1])
  local tat = tonumber(redis.call('GET', key) or '0')
  -- A TAT far in the future is no debt that anybody could have made: the clock of a former primary was ahead.
  if tat < now or tat > now + 4 * window then tat = now end
  local after = tat + interval * cost
  local wait = 0
  local record = true
  if ARGV[1] == 'settle' then
    after = math.min(after, now + 2 * window)
    wait = math.max(0, after + interval - window - now)
  elseif after - window > now then
    wait = after - window - now
    record = false
  end
  if record then
    redis.call('SET', key, string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1000)
  end
  waits[i] = math.ceil(wait)
end
return waits
