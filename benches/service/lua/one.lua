-- The same request every time: wrk formats it once.
dofile(os.getenv("LOAD_LUA") .. "/report.lua")

wrk.method = LOAD.method
wrk.path = LOAD.path
wrk.headers = LOAD.headers
wrk.body = LOAD.body
