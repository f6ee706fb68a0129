-- One of many objects, at random: {n} in the path or in the body is the object's number.
dofile(os.getenv("LOAD_LUA") .. "/report.lua")

local PREPARED = 10000
local requests, head, tail = {}, "", ""

local function format(n)
  local path = LOAD.path:gsub("{n}", n)
  local body = LOAD.body and LOAD.body:gsub("{n}", n)
  return wrk.format(LOAD.method, path, LOAD.headers, body)
end

function init(_)
  math.randomseed(os.time())
  if LOAD.names <= PREPARED then
    for n = 0, LOAD.names - 1 do
      requests[n + 1] = format(n)
    end
  else
    -- Too many to keep: only the path differs, so two halves and a number make each of them.
    head, tail = format("{n}"):match("^(.-){n}(.*)$")
  end
end

function request()
  if #requests > 0 then
    return requests[math.random(#requests)]
  end
  return head .. math.random(0, LOAD.names - 1) .. tail
end
