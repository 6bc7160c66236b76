// All of it at once for long: hot and cold calls, compositions, and now and then
// an upload, while the server's memory is looked at, which must stay bounded.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';
import { Trend } from 'k6/metrics';
import {
  atRate, body, checkProduct, cold, composed, count, decompose, invoke, logs, p99, remove, removeColds, thresholds, trends, upload, uploadColds,
  uploaded, url, variant,
} from './pappus.js';

const resident = new Trend('resident_mib');
const most = Number(__ENV.RESIDENT || 1024); // MiB
const counted = logs(8);

export const options = {
  scenarios: {
    calls: atRate(),
    memory: atRate({ exec: 'memory', rate: 1, timeUnit: '5s', preAllocatedVUs: 2, maxVUs: 2 }),
  },
  thresholds: thresholds({
    'http_req_duration{name:invoke}': [`p(99)<${p99}`], 'http_req_duration{name:count}': [`p(99)<${p99}`], resident_mib: [`max<${most}`],
  }),
  summaryTrendStats: trends,
  setupTimeout: '5m',
  teardownTimeout: '5m',
};

export function setup() {
  uploaded();
  uploadColds();
  composed();
}

export default function () {
  const n = exec.scenario.iterationInTest;
  switch (n % 20) {
    case 0:
      check(count(counted.body), { 'right total': (r) => r.status === 200 && r.body === counted.total });
      break;
    case 1:
      checkProduct(invoke(body, cold(Math.floor(n / 20))));
      break;
    case 2:
      // Names in turn get modules that they had, and later ones that they had not.
      if (n % 200 === 2) check(upload(cold((n - 2) / 200), variant((n - 2) / 200)), { 'upload: 200 or 201': (r) => r.status === 200 || r.status === 201 });
      break;
    default:
      checkProduct(invoke(body));
  }
}

export function memory() {
  const answer = http.get(`${url}/metrics`, { tags: { name: 'metrics' } });
  const line = /^process_resident_memory_bytes (\S+)$/m.exec(answer.body);
  if (check(line, { 'memory: is told': (l) => l !== null })) resident.add(Number(line[1]) / 1024 / 1024);
}

export function teardown() {
  remove();
  removeColds();
  decompose();
}
