// __NAME__ makes the letters of texts capitals.
import { input, outputText } from "./sdk/assembly";

// What is computed here is there when a call begins: that is done once, when the
// function is registered.

export function run(): i32 {
  const items = input("text");
  for (let i = 0; i < items.length; i++) {
    outputText("upper", items[i].name, items[i].text.toUpperCase(), items[i].key);
  }
  return 0;
}
