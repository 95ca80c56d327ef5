"""What the server does in one step, by its own clock; each key it writes has an end.

https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

LASTING_SECONDS = 3_600
"""How long facts are kept after the last of them: as long as the longest cool-down."""

MOST_FACTS = 2_000
"""About how many facts are kept, of all backends together."""

MOST_TOKENS = 5_000
"""About how many notes of tokens are kept."""

PEER_SECONDS = 15
"""How long a process counts as there that has said nothing."""

KNOWN_SECONDS = 70
"""How long it is remembered that a process has told what it sent: as long as that counts."""

_TIME = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

TELL = (
    _TIME
    + """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'o', ARGV[1], 'b', ARGV[2], 'f', ARGV[3], 'a', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[7])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[6], now - ARGV[4])
  redis.call('EXPIRE', KEYS[2], ARGV[7])
end
return now
"""
)
"""KEYS: stream, state. ARGV: origin, backend, fact, its age in ms, most entries, field of the state, seconds kept."""

PROBE = (
    _TIME
    + """
local opened = now - ARGV[2]
local recovered = tonumber(redis.call('HGET', KEYS[1], 'recovered') or '0')
if recovered > opened + 100 and now - recovered < 1000 then return 50 end
local failed = tonumber(redis.call('HGET', KEYS[1], 'failed') or '0')
local left = failed + ARGV[3] - now
if failed > opened and left > 0 then return left end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[4]) then return 0 end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  return 0
end
return math.min(math.max(redis.call('PTTL', KEYS[2]), 1), 1000)
"""
)
"""KEYS: state, lease. ARGV: origin, ms since the circuit opened, recovery time and lease in ms. Returns ms to wait.

Who has not heard yet of a recovery of this moment is about to; who never does, since it was away too long, may probe.
"""

KEEP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
"""KEYS: lease. ARGV: origin, ms."""

GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""KEYS: lease. ARGV: origin."""

BEAT = (
    _TIME
    + """
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2] * 1000)
redis.call('EXPIRE', KEYS[1], ARGV[2])
local known = redis.call('EXISTS', KEYS[2])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[3])
return {redis.call('ZCARD', KEYS[1]), known}
"""
)
"""KEYS: peers, mark of this one. ARGV: origin, seconds, seconds of the mark. Returns peers, and if it was known."""

_MINUTE = (
    _TIME
    + """
local SPAN, GRAIN, BURST, LARGE = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function total_of(h, l)
  local total = tonumber(redis.call('HGET', h, 'total') or '0')
  while true do
    local grain = redis.call('LINDEX', l, 0)
    if not grain then return 0 end
    if (tonumber(grain) + 1) * GRAIN + SPAN > now then return total end
    total = total - tonumber(redis.call('HGET', h, grain) or '0')
    redis.call('HDEL', h, grain)
    redis.call('LPOP', l)
  end
end
local function next_of(h) return tonumber(redis.call('HGET', h, 'next') or '0') end
local function apart(limit, one) return (SPAN + GRAIN) * one / limit end
local function add(h, l, amount, limit, total, at)
  local grain = string.format('%.0f', math.floor(at / GRAIN))
  if redis.call('HEXISTS', h, grain) == 0 then
    local last = redis.call('LINDEX', l, -1)
    if amount > 0 and not (last and tonumber(last) > tonumber(grain)) then
      redis.call('RPUSH', l, grain)
    elseif amount > 0 then
      grain = last
    else
      grain = nil
      for _, each in ipairs(redis.call('LRANGE', l, 0, -1)) do
        if tonumber(each) > at / GRAIN + 1 then break end
        grain = each
      end
      if not grain then return end
    end
  end
  redis.call('HINCRBYFLOAT', h, grain, amount)
  local due = math.max(next_of(h), now) + apart(limit, amount)
  redis.call('HSET', h, 'total', string.format('%.3f', total + amount), 'next', string.format('%.3f', due))
  local kept = math.ceil(SPAN + 4 * GRAIN)
  redis.call('PEXPIRE', h, kept)
  redis.call('PEXPIRE', l, kept)
end
"""
)
"""The same rule as ``core.minute``, in ms. ARGV: span, grain, burst, and from how many a minute on they are spaced."""

TAKE = (
    _MINUTE
    + """
local wanted, one = tonumber(ARGV[5]), {1, tonumber(ARGV[6])}
local limits, totals, places, due = {tonumber(ARGV[7]), tonumber(ARGV[8])}, {0, 0}, wanted, now
local left = {-1, -1}
for k = 1, 2 do
  if limits[k] > 0 and one[k] > 0 then
    local h, l, limit, each = KEYS[2 * k - 1], KEYS[2 * k], limits[k], one[k]
    local total = total_of(h, l)
    totals[k] = total
    local free = math.floor((limit - total) / each + 1e-6)
    if each > limit then free = (total > 0) and 0 or 1 end
    local spaced = now
    if limit >= LARGE * each then
      local ahead = math.max(0, next_of(h) - now)
      free = math.min(free, math.floor((BURST - ahead) / apart(limit, each) + 1e-6) + 1)
      spaced = next_of(h) - BURST
    end
    if free <= 0 then
      local over, freed = total + math.min(each, limit) - limit, now
      for _, grain in ipairs(redis.call('LRANGE', l, 0, -1)) do
        if over <= 1e-6 then break end
        over = over - tonumber(redis.call('HGET', h, grain) or '0')
        freed = (tonumber(grain) + 1) * GRAIN + SPAN
      end
      due = math.max(due, spaced, freed)
    end
    places = math.max(0, math.min(places, free))
  end
end
if places > 0 then
  for k = 1, 2 do
    if limits[k] > 0 and one[k] > 0 then
      add(KEYS[2 * k - 1], KEYS[2 * k], places * one[k], limits[k], totals[k], now)
    end
  end
end
for k = 1, 2 do
  if limits[k] > 0 and one[k] > 0 then left[k] = math.max(0, math.floor(limits[k] - totals[k] - places * one[k])) end
end
return {places, math.ceil(due - now), now, left[1], left[2]}
"""
)
"""KEYS: hash and list of requests, of tokens. ARGV goes on: places, tokens of each, rpm and tpm limit (0: none).

Returns places, ms to wait, its time, and what requests and tokens are left (-1: not known).
"""

HOLD = (
    _TIME
    + """
local me, wanted, used, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local askers, held, mine, others, all = (wanted > 0) and 1 or 0, 0, now, {}, redis.call('HGETALL', KEYS[1])
for k = 1, #all, 2 do
  local has, wants, since, ends = string.match(all[k + 1], '^(%d+) (%d+) (%d+) (%d+)$')
  if not ends or tonumber(ends) < now then
    redis.call('HDEL', KEYS[1], all[k])
  elseif all[k] ~= me then
    others[#others + 1] = {tonumber(has), tonumber(wants), tonumber(since)}
    held = held + tonumber(has)
    if tonumber(wants) > 0 then askers = askers + 1 end
  elseif tonumber(since) > 0 then
    mine = tonumber(since)
  end
end
local fair, spare, before, lacking = math.max(1, math.floor(limit / math.max(1, askers))), limit, 0, 0
for _, each in ipairs(others) do
  local part = math.min(each[2], fair)
  spare = spare - part
  if each[3] > 0 and each[1] < part then
    lacking = lacking + 1
    if each[3] < mine then before = before + part - each[1] end
  end
end
local target = math.min(wanted, math.max(fair, spare))
local granted = used + math.max(0, math.min(target - used, limit - held - used - before))
local since, ends = 0, now + 1500
if granted < wanted then since = (granted > used) and now or mine end
if granted > 0 then ends = now + ARGV[5] end
if wanted + used > 0 then
  redis.call('HSET', KEYS[1], me, string.format('%.0f %.0f %.0f %.0f', granted, wanted, since, ends))
  redis.call('PEXPIRE', KEYS[1], 2 * ARGV[5])
else
  redis.call('HDEL', KEYS[1], me)
end
local scarce = lacking > 0 and (granted > fair or askers > limit)
return {granted, (granted < wanted) and math.min(500, 25 + 25 * lacking) or 0, scarce and 1 or 0}
"""
)
"""KEYS: places at once. ARGV: origin, places wanted, in use, the limit, and for how many ms they are held.

Each process has so many, wants so many, lacks some since then, and holds them until then. Returns places, ms to wait
where that is fewer than wanted, and whether others lack some that this one could give back.
"""

SPEND = (
    _MINUTE
    + """
local at = tonumber(ARGV[10])
if at == 0 then at = now - ARGV[7] end
if at + SPAN < now then return 0 end
for k = 1, 2 do
  local amount, limit = tonumber(ARGV[4 + k]), tonumber(ARGV[7 + k])
  if limit > 0 and amount ~= 0 then
    local h, l = KEYS[2 * k - 1], KEYS[2 * k]
    add(h, l, amount, limit, total_of(h, l), at)
  end
end
return 1
"""
)
"""KEYS as of ``TAKE``. ARGV goes on: requests, tokens, their age in ms, rpm and tpm limit (0: none), or their time."""

ALL = (TELL, PROBE, KEEP, GIVE_BACK, BEAT, TAKE, HOLD, SPEND)
