// Uploads of modules that are not there yet, each compiled, checked and on disk
// when it is answered.
import { check } from 'k6';
import exec from 'k6/execution';
import { atRate, colds, name, p99, removeColds, thresholds, trends, upload, variant } from './pappus.js';

export const options = {
  scenarios: { upload: atRate() },
  thresholds: thresholds({ 'http_req_duration{name:upload}': [`p(99)<${p99}`] }),
  summaryTrendStats: trends,
  teardownTimeout: '5m',
};

// In turn under as many names as others call functions, each time a new version:
// what is removed at the end is then not more than those.
export default function () {
  const n = exec.scenario.iterationInTest;
  check(upload(`${name}-${n % colds}`, variant(n)), { 'status 201': (r) => r.status === 201 });
}

export function teardown() {
  removeColds();
}
