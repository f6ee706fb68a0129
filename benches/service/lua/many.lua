-- One of many objects, at random: {n} in the path and in the body is the object's number. The
-- requests are formatted before the clock starts.
dofile(os.getenv("LOAD_LUA") .. "/report.lua")

local requests = {}

function init(_)
  math.randomseed(os.time())
  for n = 0, LOAD.names - 1 do
    local path = LOAD.path:gsub("{n}", n)
    local body = LOAD.body and LOAD.body:gsub("{n}", n)
    requests[n + 1] = wrk.format(LOAD.method, path, LOAD.headers, body)
  end
end

function request()
  return requests[math.random(#requests)]
end
