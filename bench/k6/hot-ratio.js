// The paper's sweep: one rate, and of the calls 100, 97, 95, 90 and 0 of a hundred
// are hot, one part after the other. The summary has the latencies of each.
import exec from 'k6/execution';
import {
  atRate, body, checkProduct, cold, duration, invoke, p99, remove, removeColds, thresholds, trends, uploadColds, uploaded,
} from './pappus.js';

const ratios = [100, 97, 95, 90, 0];
const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(duration) || [];
if (!number) throw new Error(`DURATION is ${duration}; for this script it is a number with a unit, like 30s`);
const each = Number(number) * units[unit];

const scenarios = {}, latencies = {};
ratios.forEach((ratio, i) => {
  scenarios[`hot${ratio}`] = atRate({ startTime: `${i * (each + 1000)}ms`, env: { HOT: `${ratio}` } });
  latencies[`http_req_duration{name:invoke,scenario:hot${ratio}}`] = [`p(99)<${p99}`];
});

export const options = {
  scenarios,
  thresholds: thresholds(latencies),
  summaryTrendStats: trends,
  setupTimeout: '5m',
  teardownTimeout: '5m',
};

export function setup() {
  uploaded();
  uploadColds();
}

export default function () {
  // Of hundred calls, so many are cold, spread evenly.
  const n = exec.scenario.iterationInTest, part = 100 - Number(__ENV.HOT);
  const before = Math.floor((n * part) / 100), after = Math.floor(((n + 1) * part) / 100);
  checkProduct(before === after ? invoke(body) : invoke(body, cold(before)));
}

export function teardown() {
  remove();
  removeColds();
}
