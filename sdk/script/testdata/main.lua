-- Does what the items of text tell it to.
local loads = 0
loads = loads + 1 -- the top level runs once

function run(inputs)
  for i, item in ipairs(inputs.text) do
    if item.text == "fail" then
      error("told to fail")
    elseif item.text == "bytes" then
      local bytes = item.bytes:gsub(".", function(c) return string.char(c:byte() + 1) end)
      output("upper", item.name, bytes, item.key)
    elseif item.text == "same" then
      output("upper", item.name, item.bytes, item.key)
    elseif item.text == "json" then
      local sets, names = 0, {}
      for _ in pairs(inputs) do sets = sets + 1 end
      for _, other in ipairs(inputs["text"]) do table.insert(names, '"' .. other.name .. '"') end
      output("upper", item.name, string.format('{"sets":%d,"loads":%d,"names":[%s]}', sets, loads, table.concat(names, ",")))
    elseif item.text == "say" then
      print("said 1 [true]")
      output("upper", item.name, "")
    elseif item.text == "bad" then
      output("upper", item.name, {})
    else
      output("upper", item.name, item.text:upper(), item.key)
    end
  end
end
