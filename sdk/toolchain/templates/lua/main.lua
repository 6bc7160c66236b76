-- __NAME__ makes the letters of texts capitals.
--
-- What is computed outside of run is there when a call begins: that is done once,
-- when the function is registered.

function run(inputs)
  for _, item in ipairs(inputs.text) do
    output("upper", item.name, item.text:upper(), item.key)
  end
end
