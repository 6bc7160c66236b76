// Does what the items of text tell it to.
const loads = { count: 0 };
loads.count++; // the top level runs once

class Answer {
  constructor(item) {
    this.item = item;
  }
  get text() {
    return `${this.item.text.toUpperCase()}`;
  }
}

function run(inputs) {
  for (const item of inputs.text) {
    switch (item.text) {
      case "fail":
        throw new Error("told to fail");
      case "bytes":
        output("upper", item.name, item.bytes.map((b) => b + 1), item.key);
        break;
      case "same":
        output("upper", item.name, item.bytes, item.key);
        break;
      case "json":
        output("upper", item.name, JSON.stringify({ sets: Object.keys(inputs).length, loads: loads.count, names: inputs["text"].map((i) => i.name) }));
        break;
      case "say":
        console.log("said", 1, [true]);
        output("upper", item.name, "");
        break;
      case "bad":
        output("upper", item.name, 7);
        break;
      default:
        output("upper", item.name, new Answer(item).text, item.key);
    }
  }
}
