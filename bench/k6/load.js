// Invocations at a constant arrival rate: requests start on time whether or
// not earlier ones were answered, so a slow server shows as latency. If k6
// itself can't keep up, it drops iterations, and the run is invalid.
import { check } from 'k6';
import { checksum, uploaded, invoke, remove } from './pappus.js';

const rate = Number(__ENV.RATE || 100); // invocations a second
const duration = __ENV.DURATION || '30s';
const size = Number(__ENV.SIZE || 128); // of the matrix
const p99 = Number(__ENV.P99 || 250); // the latency that must hold, in ms
const vus = Number(__ENV.VUS || Math.max(50, rate)); // invocations in flight, at most

export const options = {
  scenarios: {
    invoke: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration,
      preAllocatedVUs: vus,
      maxVUs: vus,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    'http_req_failed{name:invoke}': ['rate==0'],
    'http_req_duration{name:invoke}': [`p(99)<${p99}`],
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
};

const body = `${size}`;
const answer = checksum(size);

export function setup() {
  uploaded();
}

export default function () {
  check(invoke(body), {
    'status 200': (r) => r.status === 200,
    'right answer': (r) => r.body === answer,
  });
}

export function teardown() {
  remove();
}
