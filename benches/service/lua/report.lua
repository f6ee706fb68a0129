-- What every script here shares: the request's parts from the environment, so that a token shows up
-- in no list of processes, and one line of JSON at the end.

LOAD = {
  method = os.getenv("LOAD_METHOD"),
  path = os.getenv("LOAD_PATH"),
  body = os.getenv("LOAD_BODY"),
  names = tonumber(os.getenv("LOAD_NAMES") or "1"),
  headers = {},
}
for name, value in os.getenv("LOAD_HEADERS"):gmatch("([^\n:]+): ([^\n]+)") do
  LOAD.headers[name] = value
end
if LOAD.body == "" then
  LOAD.body = nil
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%.0f,"p90":%.0f,"p99":%.0f,'
      .. '"max":%.0f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(90), latency:percentile(99), latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
