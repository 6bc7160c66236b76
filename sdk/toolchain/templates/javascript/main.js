// __NAME__ makes the letters of texts capitals.
//
// What is computed outside of run is there when a call begins: that is done once,
// when the function is registered.

function run(inputs) {
  for (const item of inputs.text) {
    output("upper", item.name, item.text.toUpperCase(), item.key);
  }
}
