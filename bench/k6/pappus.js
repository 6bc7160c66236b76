// What the scripts share: where the server is, the functions they call, what
// those must answer, and how calls come at a rate.
import http from 'k6/http';
import { check, fail } from 'k6';

export const url = (__ENV.PAPPUS_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
export const rate = Number(__ENV.RATE || 100); // iterations a second
export const duration = __ENV.DURATION || '30s';
export const size = Number(__ENV.SIZE || 128); // rows and columns of the matrix
export const p99 = Number(__ENV.P99 || 250); // the latency that must hold, in ms
export const colds = Number(__ENV.COLD || 64); // functions that are called in turn
const vus = Number(__ENV.VUS || Math.max(50, rate)); // iterations under way, at most

// matmul-size takes a size as text, makes the matrix of that many rows and
// columns that counts 1, 2, 3 …, and answers the sum of M·Mᵀ as a line of text.
const wasm = open(__ENV.WASM || '../../samples/matmul-size/matmul-size.wasm', 'b');
export const name = __ENV.FUNCTION || 'k6-matmul';

// A scenario begins iterations on time, whether or not earlier ones have ended.
export function atRate(more) {
  return {
    executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration,
    preAllocatedVUs: vus, maxVUs: vus, ...more,
  };
}

// What must hold of every run. If k6 could not begin an iteration on time, it
// dropped it, the rate was not what it should have been, and the run is invalid.
export function thresholds(more) {
  return { checks: ['rate==1'], http_req_failed: ['rate==0'], dropped_iterations: ['count==0'], ...more };
}

export const trends = ['avg', 'med', 'p(95)', 'p(99)', 'p(99.9)', 'max', 'count'];

// The sum of all values of M·Mᵀ is the sum of the squares of M's column sums;
// the function counts modulo 2^64.
export function checksum(size) {
  const n = BigInt(size);
  let sum = 0n;
  for (let k = 1n; k <= n; k++) {
    const column = (n * n * (n - 1n)) / 2n + n * k;
    sum += column * column;
  }
  return `${BigInt.asUintN(64, sum)}\n`;
}

// The same function as a module that no other number has: with a custom section.
export function variant(number) {
  const text = `\x07variant${String(number).padStart(9, '0')}`;
  const code = new Uint8Array(wasm.byteLength + 2 + text.length);
  code.set(new Uint8Array(wasm));
  code.set([0, text.length], wasm.byteLength);
  for (let i = 0; i < text.length; i++) code[wasm.byteLength + 2 + i] = text.charCodeAt(i);
  return code.buffer;
}

// Nothing is remembered of calls unless the query says so: what is measured is
// calls.
export function upload(as = name, code = wasm, query = 'memo=off') {
  return http.put(`${url}/v1/functions/${as}?${query}`, code, {
    headers: { 'Content-Type': 'application/wasm' },
    tags: { name: 'upload' },
  });
}

export function invoke(body, as = name, tags = {}) {
  return http.post(`${url}/v1/invoke/${as}`, body, {
    headers: { 'Content-Type': 'text/plain' },
    tags: { name: 'invoke', ...tags },
  });
}

export function remove(as = name) {
  return http.del(`${url}/v1/functions/${as}`, null, { tags: { name: 'remove' } });
}

// uploaded ends the test when a function could not be uploaded.
export function uploaded(as, code, query) {
  const answer = upload(as, code, query);
  if (!check(answer, { 'upload: 200 or 201': (r) => r.status === 200 || r.status === 201 })) {
    fail(`upload to ${url}: ${answer.status} ${answer.error || answer.body}`);
  }
}

// The functions that are called in turn, so that each is cold when it is called
// again: the server must keep few of them loaded (run.sh sees to it).
export const cold = (k) => `${name}-${k % colds}`;
export function uploadColds() {
  for (let k = 0; k < colds; k++) uploaded(cold(k), variant(k));
}
export function removeColds() {
  for (let k = 0; k < colds; k++) remove(cold(k));
}

export function checkProduct(answer) {
  return check(answer, {
    'status 200': (r) => r.status === 200,
    'right answer': (r) => r.body === product,
  });
}
const product = checksum(size);
export const body = `${size}`;

// The composition that counts a pattern in logs, with its functions.
const parts = {
  sumoccurrence: open('../../samples/sumoccurrence/sumoccurrence.wasm', 'b'),
  sum: open('../../samples/sum/sum.wasm', 'b'),
};
const logcount = open('../../samples/logcount/logcount.comp');

export function composed() {
  for (const part of Object.keys(parts)) uploaded(part, parts[part]);
  const answer = http.put(`${url}/v1/compositions/k6-logcount`, logcount, {
    headers: { 'Content-Type': 'text/plain' },
    tags: { name: 'compose' },
  });
  if (!check(answer, { 'compose: 200 or 201': (r) => r.status === 200 || r.status === 201 })) {
    fail(`compose at ${url}: ${answer.status} ${answer.error || answer.body}`);
  }
}

export function count(body) {
  return http.post(`${url}/v1/invoke/k6-logcount`, body, {
    headers: { 'Content-Type': 'application/json' },
    tags: { name: 'count' },
  });
}

export function logs(n) {
  const text = '12:00:01 INFO a request was answered\n12:00:02 ERROR nobody answers\n'.repeat(100);
  const all = Array.from({ length: n }, (_, i) => ({ name: `${i}`, text }));
  return { body: JSON.stringify({ inputs: { logs: all, pattern: [{ name: 'pattern', text: 'ERROR' }] } }), total: `${100 * n}\n` };
}

export function decompose() {
  http.del(`${url}/v1/compositions/k6-logcount`, null, { tags: { name: 'remove' } });
  for (const part of Object.keys(parts)) remove(part);
}
