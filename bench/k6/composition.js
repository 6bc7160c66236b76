// A composition that counts in LOGS logs at once and adds up.
import { check } from 'k6';
import { atRate, composed, count, decompose, logs, p99, thresholds, trends } from './pappus.js';

const { body, total } = logs(Number(__ENV.LOGS || 16));

export const options = {
  scenarios: { composition: atRate() },
  thresholds: thresholds({ 'http_req_duration{name:count}': [`p(99)<${p99}`] }),
  summaryTrendStats: trends,
};

export function setup() {
  composed();
}

export default function () {
  check(count(body), {
    'status 200': (r) => r.status === 200,
    'right total': (r) => r.body === total,
  });
}

export function teardown() {
  decompose();
}
