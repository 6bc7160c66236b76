// Calls of many functions in turn, so that the code of each must be loaded from
// the disk again.
import exec from 'k6/execution';
import { atRate, body, checkProduct, cold, invoke, p99, removeColds, thresholds, trends, uploadColds } from './pappus.js';

export const options = {
  scenarios: { cold: atRate() },
  thresholds: thresholds({ 'http_req_duration{name:invoke}': [`p(99)<${p99}`] }),
  summaryTrendStats: trends,
  setupTimeout: '5m',
  teardownTimeout: '5m',
};

export function setup() {
  uploadColds();
}

export default function () {
  checkProduct(invoke(body, cold(exec.scenario.iterationInTest)));
}

export function teardown() {
  removeColds();
}
