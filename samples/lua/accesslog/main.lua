-- accesslog makes data of the access logs of web servers.
--
-- Each item of logs is a log in the combined format, or in the common one, which
-- is without referer and agent:
--
--     198.51.100.7 - ada [25/Nov/2026:09:30:00 +0100] "GET /tea?a=b%20c HTTP/1.1" 200 512 "-" "Mozilla/5.0"
--
-- and records has an item for it, named like the log with .jsonl behind: a JSON
-- object for each line, with the time in seconds since 1970 and the query apart
-- from the path. What a log says is "-" is left out.
--
-- rejected has the lines that are no such thing, as LOG:LINE:TEXT. A log that has
-- nothing else is none: that ends the call with exit code 1 and the reason.

local months = {Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12}

-- Days from 1970-01-01 to a day; March is the first month of a year here, so that
-- what a leap year has more is at the end of one.
local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local floor = math.floor
  return 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + floor((153 * (month - 3) + 2) / 5) + day - 719469
end

-- How many days a month has.
local function length(year, month)
  return month == 12 and 31 or days(year, month + 1, 1) - days(year, month, 1)
end

-- Seconds since 1970 of a time like 25/Nov/2026:09:30:00 +0100, or nil.
local function seconds(text)
  local day, name, year, hour, minute, second, sign, zone_hours, zone_minutes =
    text:match("^(%d%d)/(%a%a%a)/(%d%d%d%d):(%d%d):(%d%d):(%d%d) ([+-])(%d%d)(%d%d)$")
  local month = months[name]
  if not month then
    return nil
  end
  day, year, hour, minute, second = tonumber(day), tonumber(year), tonumber(hour), tonumber(minute), tonumber(second)
  if day < 1 or day > length(year, month) or hour > 23 or minute > 59 or second > 60 then
    return nil
  end
  local zone = (tonumber(zone_hours) * 60 + tonumber(zone_minutes)) * 60
  if sign == "-" then
    zone = -zone
  end
  return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone
end

-- What is between quotes in a log: \" and \\ are what is behind the backslash, \xHH
-- is a byte.
local function unquoted(text)
  return (text:gsub("\\(x?)(.?.?)", function(x, rest)
    if x == "x" and rest:match("^%x%x$") then
      return string.char(tonumber(rest, 16))
    end
    return x .. rest
  end))
end

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}

-- Bytes beyond ASCII with U+FFFD for each that is no UTF-8.
local function utf8(bytes)
  local parts, at = {}, 1
  while at <= #bytes do
    local lead = bytes:byte(at)
    local length = lead >= 0xF0 and 4 or lead >= 0xE0 and 3 or 2
    local char = bytes:sub(at, at + length - 1)
    local second = char:byte(2)
    if lead < 0xC2 or lead > 0xF4 or #char < length or char:find("[\192-\255]", 2)
      or lead == 0xE0 and second < 0xA0 or lead == 0xED and second > 0x9F -- too long; surrogates
      or lead == 0xF0 and second < 0x90 or lead == 0xF4 and second > 0x8F then -- too long; too large
      char = "\239\191\189"
      length = 1
    end
    parts[#parts + 1] = char
    at = at + length
  end
  return table.concat(parts)
end

-- A JSON string.
local function quoted(text)
  text = text:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end)
  return '"' .. text:gsub("[\128-\255]+", utf8) .. '"'
end

-- A JSON object of members {name, value}, in that order; numbers are whole.
local function object(members)
  local parts = {}
  for _, member in ipairs(members) do
    local name, value = member[1], member[2]
    if type(value) == "number" then
      parts[#parts + 1] = ("%s:%d"):format(quoted(name), value)
    elseif value and value ~= "-" then
      parts[#parts + 1] = quoted(name) .. ":" .. quoted(value)
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- The text between the quote at a place and the next that has no backslash before
-- it, and the place behind that; or nil.
local function field(line, at)
  if line:sub(at, at) ~= '"' then
    return nil
  end
  local from = at + 1
  at = from
  while true do
    local found = line:find('["\\]', at)
    if not found then
      return nil
    end
    if line:sub(found, found) == '"' then
      return unquoted(line:sub(from, found - 1)), found + 1
    end
    at = found + 2
  end
end

-- The record of a line as JSON, or nil.
local function record(line)
  local host, user, time, at = line:match("^(%S+) %S+ (%S+) %[([^%]]+)%] ()")
  time = time and seconds(time)
  if not time then
    return nil
  end
  local request, status, size, referer, agent
  request, at = field(line, at)
  if not request then
    return nil
  end
  status, size, at = line:match("^ (%d%d%d) (%S+)()", at)
  if not status or not (size == "-" or size:match("^%d+$") and #size <= 15) then
    return nil
  end
  if at <= #line then
    referer, at = field(line, at + 1)
    if not referer or line:sub(at, at) ~= " " then
      return nil
    end
    agent, at = field(line, at + 1)
    if not agent or at <= #line then
      return nil
    end
  end
  -- What somebody has sent who speaks no HTTP has no parts.
  local method, target, protocol = request:match("^(%u+) (%S+) (HTTP/%d%.?%d?)$")
  local path, query
  if method then
    path, query = target:match("^([^?]*)%??(.*)$")
    path = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return object({
    {"time", time}, {"host", host}, {"user", user}, {"method", method}, {"path", path}, {"query", query ~= "" and query},
    {"protocol", protocol}, {"request", not method and request}, {"status", tonumber(status)},
    {"bytes", size == "-" and 0 or tonumber(size)}, {"referer", referer}, {"agent", agent},
  })
end

function run(inputs)
  local rejected = {}
  for _, log in ipairs(inputs.logs) do
    local records, number, first = {}, 0, nil
    for line in log.text:gmatch("([^\n]*)\n?") do
      number = number + 1
      line = line:gsub("\r$", "")
      if line ~= "" then
        local made = record(line)
        if made then
          records[#records + 1] = made .. "\n"
        else
          first = first or line
          rejected[#rejected + 1] = ("%s:%d:%s\n"):format(log.name, number, line)
        end
      end
    end
    if #records == 0 and first then
      error(("%s is not an access log: its first line is %s"):format(log.name, quoted(first:sub(1, 80))), 0)
    end
    output("records", log.name .. ".jsonl", table.concat(records), log.key)
  end
  output("rejected", "rejected", table.concat(rejected))
end
