// Calls of one function whose code is loaded.
import { atRate, body, checkProduct, invoke, p99, remove, thresholds, trends, uploaded } from './pappus.js';

export const options = {
  scenarios: { hot: atRate() },
  thresholds: thresholds({ 'http_req_duration{name:invoke}': [`p(99)<${p99}`] }),
  summaryTrendStats: trends,
};

export function setup() {
  uploaded();
}

export default function () {
  checkProduct(invoke(body));
}

export function teardown() {
  remove();
}
