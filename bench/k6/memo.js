// Calls whose results are remembered: of few inputs, so that all but the first
// call of each is answered without a run.
import { check } from 'k6';
import exec from 'k6/execution';
import { Rate } from 'k6/metrics';
import { atRate, checksum, invoke, p99, remove, thresholds, trends, uploaded } from './pappus.js';

const inputs = [96, 112, 128, 144]; // sizes of matrices
const answers = inputs.map(checksum);
const hits = new Rate('memo_hits');

export const options = {
  scenarios: { memo: atRate() },
  thresholds: thresholds({ 'http_req_duration{name:invoke}': [`p(99)<${p99}`], memo_hits: ['rate>0.9'] }),
  summaryTrendStats: trends,
};

export function setup() {
  uploaded(undefined, undefined, '');
}

export default function () {
  const i = exec.scenario.iterationInTest % inputs.length;
  const answer = invoke(`${inputs[i]}`);
  hits.add((answer.headers['Cache-Status'] || '').includes('hit'));
  check(answer, {
    'status 200': (r) => r.status === 200,
    'right answer': (r) => r.body === answers[i],
  });
}

export function teardown() {
  remove();
}
