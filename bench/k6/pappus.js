// What the scripts share: where the server is, the function they call, and
// what it must answer.
import http from 'k6/http';
import { check, fail } from 'k6';

export const url = (__ENV.PAPPUS_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');

// matmul-size takes a size as text, makes the matrix of that many rows and
// columns that counts 1, 2, 3 …, and answers the sum of M·Mᵀ as a line of text.
const wasm = open(__ENV.WASM || '../../samples/matmul-size/matmul-size.wasm', 'b');
export const name = __ENV.FUNCTION || 'k6-matmul';

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

export function upload() {
  return http.put(`${url}/v1/functions/${name}`, wasm, {
    headers: { 'Content-Type': 'application/wasm' },
    tags: { name: 'upload' },
  });
}

export function invoke(body) {
  return http.post(`${url}/v1/invoke/${name}`, body, {
    headers: { 'Content-Type': 'text/plain' },
    tags: { name: 'invoke' },
  });
}

export function remove() {
  return http.del(`${url}/v1/functions/${name}`, null, { tags: { name: 'remove' } });
}

// uploaded ends the test when the function could not be uploaded.
export function uploaded() {
  const answer = upload();
  if (!check(answer, { 'upload: 200 or 201': (r) => r.status === 200 || r.status === 201 })) {
    fail(`upload to ${url}: ${answer.status} ${answer.error || answer.body}`);
  }
}
