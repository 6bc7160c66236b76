// One of each call, each answer looked at. Every check must hold.
import http from 'k6/http';
import { check } from 'k6';
import { url, name, checksum, upload, uploaded, invoke, remove } from './pappus.js';

export const options = {
  vus: 1,
  iterations: 1,
  thresholds: { checks: ['rate==1'] },
};

// These are asked for, so they are no failed requests.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 499 }));

const isProblem = (r) => (r.headers['Content-Type'] || '').startsWith('application/problem+json');

export default function () {
  check(http.get(`${url}/healthz`), { 'healthz: 200': (r) => r.status === 200 });
  check(http.get(`${url}/readyz`), { 'readyz: 200': (r) => r.status === 200 });

  uploaded();
  check(upload(), { 'the same again: 200': (r) => r.status === 200 });
  check(http.get(`${url}/v1/functions/${name}`), {
    'inspect: 200': (r) => r.status === 200,
    'inspect: has the digest': (r) => /^sha256:[0-9a-f]{64}$/.test(r.json('digest')),
  });

  for (const size of [1, 2, 128]) {
    check(invoke(`${size}`), {
      [`invoke ${size}: 200`]: (r) => r.status === 200,
      [`invoke ${size}: right answer`]: (r) => r.body === checksum(size),
    });
  }
  check(invoke('no number'), {
    'a function that fails: 422': (r) => r.status === 422,
    'a function that fails: problem': isProblem,
  });
  check(http.post(`${url}/v1/invoke/${name}-unknown`, '1', { headers: { 'Content-Type': 'text/plain' } }), {
    'unknown function: 404': (r) => r.status === 404,
    'unknown function: problem': isProblem,
  });

  check(remove(), { 'remove: 2xx': (r) => r.status >= 200 && r.status < 300 });
  check(invoke('1'), { 'removed: 404': (r) => r.status === 404 });
}
