// A function that does what the tests tell it to.
import { find, input, inputs, output, outputItem, outputs, outputText } from "../assembly";

// Filled before any call, so it is in the image.
const made = new Map<i32, string>();
for (let i = 0; i < 1000; i++) made.set(i, "n" + i.toString());

export function run(): i32 {
  const items = input("text");
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    switch (item.length) {
      case 0:
        outputItem("upper", item);
        continue;
      case 1_000_000: {
        const data = item.data;
        for (let j = 0; j < data.length; j++) data[j] = data[j] + 1;
        output("upper", item.name, data, item.key);
        continue;
      }
    }
    const text = item.text;
    if (text == "fail") {
      console.error("told to fail");
      return 7;
    }
    if (text == "abort") throw new Error("told to throw");
    if (text == "range") return items[items.length].key;
    if (text == "no set") input("none");
    if (text == "no output") outputText("none", "a", "");
    if (text == "memory") {
      const all = new Array<Uint8Array>();
      while (true) all.push(new Uint8Array(1 << 20));
    }
    if (text == "garbage") {
      for (let j = 0; j < 1000; j++) new Uint8Array(1 << 20);
    }
    if (text == "say") {
      console.log(inputs().join() + " " + outputs().join() + " " + made.get(999));
      console.log((Math.random() < 1).toString());
      trace("traced", 2, 1, 2.5);
      console.assert(find("text", "none") !== null, "there is none");
      outputText("upper", find("text", item.name)!.name, "said");
      continue;
    }
    outputText("upper", item.name, text.toUpperCase(), item.key);
  }
  return 0;
}
