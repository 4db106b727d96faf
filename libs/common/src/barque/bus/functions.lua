#!lua name=barque
-- The bus inside the store. Loaded once as a Redis Function library; services call it with FCALL and have no EVAL.
-- All keys of a book share one hash tag, so each call stays in one slot. Everything is checked before the first
-- write, because Redis does not roll back.

local function field(prefix, topic) return prefix .. topic end

-- Stream ids are <ms>-<seq>: is a newer than b?
local function newer(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am > bm or (am == bm and as > bs)
end

local function head(stream)
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return last[1] and last[1][1] or '0-0'
end

local function now_ms()
  local t = redis.call('TIME')
  return t[1] .. string.format('%03d', math.floor(tonumber(t[2]) / 1000))
end

local function inputs_of(spec)
  local rank, list = string.match(spec, '^(%-?%d+)|(.*)$')
  local topics = {}
  for topic in string.gmatch(list, '[^,]+') do topics[#topics + 1] = topic end
  return tonumber(rank), topics
end

-- Whose turn it is in lockstep: of the nodes that have unread input, the one of lowest rank, then name. '' : quiescent.
local function turn(prefix)
  local flat = redis.call('HGETALL', prefix .. 'nodes')
  local best, best_rank = '', nil
  local heads = {}
  for i = 1, #flat, 2 do
    local name = flat[i]
    local rank, topics = inputs_of(flat[i + 1])
    if best_rank == nil or rank < best_rank or (rank == best_rank and name < best) then
      local fields = {}
      for j, topic in ipairs(topics) do fields[j] = field('pos:', topic) end
      local positions = redis.call('HMGET', prefix .. 'node:' .. name, unpack(fields))
      for j, topic in ipairs(topics) do
        if heads[topic] == nil then heads[topic] = head(prefix .. topic) end
        if newer(heads[topic], positions[j] or '0-0') then
          best, best_rank = name, rank
          break
        end
      end
    end
  end
  return best
end

-- In lockstep, whoever has done something hands the turn on: a token in the list of the one whose turn it is now ('' is
-- the feed, when the book is at rest). A node's lost or spare token only costs a look; the feed's token is there exactly
-- while the book is at rest.
local function hand_on(prefix)
  if prefix == '' then return end
  local holder = turn(prefix)
  local key = prefix .. 'turn:' .. holder
  redis.call('DEL', prefix .. 'turn:', key)
  redis.call('LPUSH', key, '1')
end

-- A refusal hands the turn on too: it is perhaps still the caller's, whose next wait went out with this commit.
local function refuse(node, verdict, seq, prefix)
  redis.call('HINCRBY', node, 'refused:' .. string.lower(verdict), 1)
  hand_on(prefix)
  return {verdict, seq}
end

-- keys: node, journal, halt flag, output streams...
-- args: expected seq, digest, epoch, guarded(0|1), state, outs, journal record, journal state, halt action,
--       prefix (in lockstep, else ''), n positions, (topic, id, count)*, (key index, envelope, body)*
-- returns: {OK|DUP|STALE|HALTED, stored seq}
local function commit(keys, args)
  local node, journal, halt = keys[1], keys[2], keys[3]
  local expected, epoch, n = tonumber(args[1]), tonumber(args[3]), tonumber(args[11])
  if not expected or not epoch or not n then return redis.error_reply('BARQUE bad commit arguments') end
  local first_output = 12 + 3 * n
  if (#args - first_output + 1) % 3 ~= 0 then return redis.error_reply('BARQUE bad commit outputs') end

  local stored = redis.call('HMGET', node, 'seq', 'digest', 'epoch')
  local seq = tonumber(stored[1] or '0')
  if seq == expected + 1 and stored[2] == args[2] then return refuse(node, 'DUP', seq, args[10]) end
  if seq ~= expected or tonumber(stored[3] or '0') > epoch then return refuse(node, 'STALE', seq, args[10]) end
  if args[4] == '1' and redis.call('EXISTS', halt) == 1 then return refuse(node, 'HALTED', seq, args[10]) end
  for i = first_output, #args, 3 do
    local key = keys[tonumber(args[i])]
    local kind = key and redis.call('TYPE', key).ok
    if kind ~= 'stream' and kind ~= 'none' then return redis.error_reply('BARQUE output ' .. tostring(key) .. ' is no stream') end
  end

  local update = {'seq', expected + 1, 'digest', args[2], 'epoch', args[3], 'state', args[5], 'outs', args[6], 'seen', now_ms()}
  for i = 12, first_output - 1, 3 do
    update[#update + 1] = field('pos:', args[i])
    update[#update + 1] = args[i + 1]
    update[#update + 1] = field('n:', args[i])
    update[#update + 1] = args[i + 2]
  end
  redis.call('HSET', node, unpack(update))
  if args[7] ~= '' then
    if args[8] ~= '' then
      redis.call('XADD', journal, '*', 'r', args[7], 's', args[8])
    else
      redis.call('XADD', journal, '*', 'r', args[7])
    end
  end
  if args[9] == 'resume' then
    redis.call('DEL', halt)
  elseif args[9] ~= '' then
    redis.call('SET', halt, args[9])
  end
  for i = first_output, #args, 3 do
    redis.call('XADD', keys[tonumber(args[i])], '*', 'e', args[i + 1], 'm', args[i + 2])
  end
  hand_on(args[10])
  return {'OK', expected + 1}
end

-- A node tells that it exists: its rank and inputs, and where it begins to read (the beginning, or the present).
-- keys: registry, node, input streams...   args: name, rank, from head(0|1), worker, topics...
local function register(keys, args)
  local topics = {}
  for i = 5, #args do
    topics[#topics + 1] = args[i]
    local stream = keys[i - 2]
    if redis.call('HEXISTS', keys[2], field('pos:', args[i])) == 0 then
      local from, count = '0-0', 0
      if args[3] == '1' and redis.call('EXISTS', stream) == 1 then
        from = head(stream)
        local info = redis.call('XINFO', 'STREAM', stream)
        for j = 1, #info, 2 do
          if info[j] == 'entries-added' then count = info[j + 1] end
        end
      end
      redis.call('HSET', keys[2], field('pos:', args[i]), from, field('n:', args[i]), count,
        field('from:', args[i]), cjson.encode({from, count}))
    end
  end
  redis.call('HSET', keys[2], 'worker', args[4], 'seen', now_ms())
  redis.call('HSET', keys[1], args[1], args[2] .. '|' .. table.concat(topics, ','))
  return redis.status_reply('OK')
end

-- A node that keeps its position in Postgres repeats it here, once all it said is on the streams.
-- keys: node   args: epoch, prefix (in lockstep, else ''), (topic, id, count)*
local function mirror(keys, args)
  if tonumber(redis.call('HGET', keys[1], 'epoch') or '0') > tonumber(args[1]) then return redis.status_reply('STALE') end
  local update = {'epoch', args[1], 'seen', now_ms()}
  for i = 3, #args, 3 do
    update[#update + 1] = field('pos:', args[i])
    update[#update + 1] = args[i + 1]
    update[#update + 1] = field('n:', args[i])
    update[#update + 1] = args[i + 2]
  end
  redis.call('HSET', keys[1], unpack(update))
  hand_on(args[2])
  return redis.status_reply('OK')
end

-- keys: registry   args: prefix   returns: name of the node whose turn it is, or ''
local function whose_turn(keys, args) return turn(args[1]) end

-- In lockstep: everything unread of one node, if it is its turn.
-- keys: registry, input streams...   args: prefix, name, count, topics...
-- returns: {holder, entries per topic...}; entries only where holder is the caller
local function take(keys, args)
  local holder = turn(args[1])
  local reply = {holder}
  if holder ~= args[2] then return reply end
  local node = args[1] .. 'node:' .. args[2]
  for i = 4, #args do
    local from = redis.call('HGET', node, field('pos:', args[i])) or '0-0'
    reply[#reply + 1] = redis.call('XRANGE', keys[i - 2], '(' .. from, '+', 'COUNT', args[3])
  end
  return reply
end

-- Liveness only: hold a name for ttl ms, or learn who does.   keys: lease   args: owner, ttl ms (0: release)
local function lease(keys, args)
  local owner = redis.call('GET', keys[1])
  if owner and owner ~= args[1] then return owner end
  if args[2] == '0' then
    redis.call('DEL', keys[1])
    return ''
  end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  return args[1]
end

-- Drop what every reader has passed and what is older than the window; at most once a minute per book.
-- keys: registry, guard   args: prefix, window ms, topics...   returns: entries dropped
local function trim(keys, args)
  if not redis.call('SET', keys[2], '1', 'NX', 'PX', 60000) then return 0 end
  local limit = tostring(tonumber(now_ms()) - tonumber(args[2]))
  local oldest = {}
  for i = 3, #args do oldest[args[i]] = string.format('%.0f-0', tonumber(limit)) end
  local flat, dropped = redis.call('HGETALL', keys[1]), 0
  for i = 1, #flat, 2 do
    local _, topics = inputs_of(flat[i + 1])
    for _, topic in ipairs(topics) do
      local position = redis.call('HGET', args[1] .. 'node:' .. flat[i], field('pos:', topic)) or '0-0'
      if oldest[topic] and newer(oldest[topic], position) then oldest[topic] = position end
    end
    dropped = dropped + redis.call('XTRIM', args[1] .. 'journal:' .. flat[i], 'MINID', string.format('%.0f-0', tonumber(limit)))
  end
  for i = 3, #args do dropped = dropped + redis.call('XTRIM', args[1] .. args[i], 'MINID', oldest[args[i]]) end
  return dropped
end

redis.register_function('barque_commit', commit)
redis.register_function('barque_register', register)
redis.register_function('barque_mirror', mirror)
redis.register_function('barque_turn', whose_turn)
redis.register_function('barque_take', take)
redis.register_function('barque_lease', lease)
redis.register_function('barque_trim', trim)
