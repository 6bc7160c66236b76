// Serves the WebAssembly functions of a folder over HTTP in V8 isolates: POST /fN
// runs N.wasm with the body as its input. Its arguments are the folder, and what a
// call gets:
//
//   isolate  a new worker, which is an isolate of V8 and a thread
//   context  a new global environment (node:vm) and instance in one of the
//            workers, which are as many as processors and live on
//
// A module is compiled when it is first called, and given to workers as it is.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

const [folder, kind] = process.argv.slice(2);
if (kind !== 'isolate' && kind !== 'context') {
  console.error(`server.mjs: a call gets an isolate or a context, not ${kind}`);
  process.exit(2);
}
const script = new URL('./worker.mjs', import.meta.url);
const processors = availableParallelism();

const modules = new Map();
function load(name) {
  let module = modules.get(name);
  if (!module) {
    module = readFile(join(folder, `${name}.wasm`)).then((code) => WebAssembly.compile(code));
    modules.set(name, module);
  }
  return module;
}

// At most as many calls as processors run at once; the others wait in turn.
const waiting = [];
let free = processors;
async function permit() {
  if (free > 0) free--;
  else await new Promise((resolve) => waiting.push(resolve));
}
function release() {
  const next = waiting.shift();
  if (next) next();
  else free++;
}

function answerOf(worker, message) {
  return new Promise((resolve, reject) => {
    const failed = (e) => reject(e instanceof Error ? e : new Error(`the worker ended with ${e}`));
    worker.once('error', failed);
    worker.once('exit', failed);
    worker.once('message', ({ answer, error }) => {
      worker.off('error', failed);
      worker.off('exit', failed);
      if (error) reject(new Error(error));
      else resolve(answer);
    });
    if (message) worker.postMessage(message);
  });
}

const pool = kind === 'context' ? Array.from({ length: processors }, () => new Worker(script)) : [];

async function run(name, input) {
  const module = await load(name);
  await permit();
  if (kind === 'context') {
    const worker = pool.pop();
    try {
      return await answerOf(worker, { module, input });
    } finally {
      pool.push(worker);
      release();
    }
  }
  const worker = new Worker(script, { workerData: { module, input } });
  try {
    return await answerOf(worker);
  } finally {
    // Nobody waits for the isolate's end but the next call.
    worker.terminate().then(release, release);
  }
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const path = /^\/f(\d+)$/.exec(request.url);
    let status = 200, body;
    try {
      if (path) body = await run(path[1], Buffer.concat(chunks));
      else [status, body] = [404, 'the path is not /f and a number'];
    } catch (e) {
      [status, body] = [500, String(e)];
    }
    response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));
