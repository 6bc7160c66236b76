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
--
-- Patterns take long for each letter, and looking for plain text does not: so that
-- is what lines are taken apart with, and what was made of a value is kept.

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

-- A function of texts that keeps what it gave for the last thousands.
local function kept(f)
  local known, n = {}, 0
  return function(text)
    local value = known[text]
    if value == nil then
      if n == 5000 then
        known, n = {}, 0
      end
      value = f(text)
      known[text], n = value, n + 1
    end
    return value
  end
end

-- The seconds since 1970 of a time like 25/Nov/2026:09:30:00 +0100, or false.
local seconds = kept(function(text)
  local day, name, year, hour, minute, second, sign, zone_hours, zone_minutes =
    text:match("^(%d%d)/(%a%a%a)/(%d%d%d%d):(%d%d):(%d%d):(%d%d) ([+-])(%d%d)(%d%d)$")
  local month = months[name]
  if not month then
    return false
  end
  day, year, hour, minute, second = tonumber(day), tonumber(year), tonumber(hour), tonumber(minute), tonumber(second)
  if day < 1 or day > length(year, month) or hour > 23 or minute > 59 or second > 60 then
    return false
  end
  local zone = (tonumber(zone_hours) * 60 + tonumber(zone_minutes)) * 60
  if sign == "-" then
    zone = -zone
  end
  return ("%d"):format(days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone)
end)

-- What is between quotes in a log: \" and \\ are what is behind the backslash, \xHH
-- is a byte.
local function unquoted(text)
  if not text:find("\\", 1, true) then
    return text
  end
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
local quoted = kept(function(text)
  if not text:find('[%c"\\\128-\255]') then
    return '"' .. text .. '"'
  end
  text = text:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end)
  return '"' .. text:gsub("[\128-\255]+", utf8) .. '"'
end)

-- A member of a JSON object with a comma before it, or nothing for "-".
local function member(name, text)
  if not text or text == "-" then
    return ""
  end
  return ',"' .. name .. '":' .. quoted(text)
end

-- A whole number as JSON has it, or false.
local number = kept(function(text)
  return #text <= 15 and text:match("^%d+$") and ("%d"):format(tonumber(text)) or false
end)

-- The text between the quote at a place and the next that has no backslash before
-- it, and the place behind that; or nil.
local function field(line, at)
  if line:sub(at, at) ~= '"' then
    return nil
  end
  local from = at + 1
  at = from
  while true do
    local quote, backslash = line:find('"', at, true), line:find("\\", at, true)
    if not quote then
      return nil
    end
    if not backslash or backslash > quote then
      return unquoted(line:sub(from, quote - 1)), quote + 1
    end
    at = backslash + 2
  end
end

-- The part of a text before the first separator, that between it and the next one,
-- and so on; the last part is the rest.
local function split(text, ...)
  local parts, at = {}, 1
  for _, separator in ipairs({...}) do
    local from, to = text:find(separator, at, true)
    if not from then
      break
    end
    parts[#parts + 1] = text:sub(at, from - 1)
    at = to + 1
  end
  parts[#parts + 1] = text:sub(at)
  return parts
end

-- The members of a request. What somebody has sent who speaks no HTTP has no parts.
local members = kept(function(request)
  local method, target, protocol = unpack(split(request, " ", " "))
  if not protocol or not method:match("^%u+$") or not protocol:match("^HTTP/%d%.?%d?$") then
    return member("request", request)
  end
  local path, query = unpack(split(target, "?"))
  path = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return member("method", method) .. member("path", path) .. member("query", query ~= "" and query) .. member("protocol", protocol)
end)

-- The record of a line as JSON, or nil.
local function record(line)
  local head = split(line, " ", " ", " [", "] ")
  local host, user, time, rest = head[1], head[3], head[4], head[5]
  time = time and seconds(time)
  if not time or host == "" or user == "" or user:find(" ", 1, true) then
    return nil
  end
  local request, at = field(rest, 1)
  if not request or rest:sub(at, at) ~= " " then
    return nil
  end
  local status, size, behind = unpack(split(rest:sub(at + 1), " ", " "))
  size = size and number(size == "-" and "0" or size)
  status = #status == 3 and number(status)
  if not size or not status then
    return nil
  end
  local referer, agent
  if behind then
    referer, at = field(behind, 1)
    if not referer or behind:sub(at, at) ~= " " then
      return nil
    end
    agent, at = field(behind, at + 1)
    if not agent or at <= #behind then
      return nil
    end
  end
  return '{"time":' .. time .. member("host", host) .. member("user", user) .. members(request)
    .. ',"status":' .. status .. ',"bytes":' .. size .. member("referer", referer) .. member("agent", agent) .. "}"
end

function run(inputs)
  local rejected = {}
  for _, log in ipairs(inputs.logs) do
    local records, lines, first = {}, 0, nil
    local text, at = log.text, 1
    while at <= #text do
      local line_end = text:find("\n", at, true) or #text + 1
      local line = text:sub(at, line_end - 1)
      lines, at = lines + 1, line_end + 1
      if line:sub(-1) == "\r" then
        line = line:sub(1, -2)
      end
      if line ~= "" then
        local made = record(line)
        if made then
          records[#records + 1] = made .. "\n"
        else
          first = first or line
          rejected[#rejected + 1] = ("%s:%d:%s\n"):format(log.name, lines, line)
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
