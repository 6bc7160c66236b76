// Runs calls in this isolate: one that came with it, or those that it is sent,
// each in a global environment of its own.
import { createContext, Script } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';

// What a function leaves and gets in its memory: see sdk/c/include and the package
// wasmengine/abi. It is a text, so that another global environment can have it.
const callText = `(module, input) => {
  const { exports } = new WebAssembly.Instance(module, {});
  const memory = exports.memory;
  const base = memory.buffer.byteLength;
  const pages = base / 65536;
  if (pages < 16) memory.grow(16 - pages);
  const system = exports.__dandelion_system_data.value;
  let view = new DataView(memory.buffer), bytes = new Uint8Array(memory.buffer);
  const put = (at, ...numbers) => numbers.forEach((n, i) => view.setUint32(at + 4 * i, n >>> 0, true));
  const text = (at, s) => { for (let i = 0; i < s.length; i++) bytes[at + i] = s.charCodeAt(i); return at + s.length; };
  // Two sets and their sentinels, one item, the names, the data.
  const inSets = base, outSets = inSets + 24, items = outSets + 24;
  const setName = items + 20, outName = text(setName, 'size'), itemName = text(outName, 'checksum');
  const data = (text(itemName, 'body') + 15) & ~15;
  put(inSets, setName, 4, 0, 0, 0, 1);
  put(outSets, outName, 8, 0, 0, 0, 0);
  put(items, itemName, 4, data, input.length, 0);
  bytes.set(input, data);
  const end = (data + input.length + 15) & ~15;
  put(system, -1, end, bytes.length, 1, inSets, 1, outSets, items, 0);
  exports._start();
  view = new DataView(memory.buffer);
  const code = view.getInt32(system, true);
  if (code !== 0) throw new Error('exit code ' + code);
  const item = view.getUint32(system + 32, true);
  const from = view.getUint32(item + 8, true), length = view.getUint32(item + 12, true);
  return new Uint8Array(memory.buffer, from, length).slice();
}`;

function answer(call, { module, input }) {
  try {
    return { answer: Buffer.from(call(module, input)) };
  } catch (e) {
    return { error: String(e) };
  }
}

if (workerData) {
  parentPort.postMessage(answer((0, eval)(callText), workerData));
} else {
  const script = new Script(callText); // compiled once, run in each context
  parentPort.on('message', (message) => {
    // The isolate's instances of these classes are those of another environment.
    const context = createContext({ WebAssembly, Error, DataView, Uint8Array });
    parentPort.postMessage(answer(script.runInContext(context), message));
  });
}
