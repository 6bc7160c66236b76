// orders sums up what customers ordered in each month.
//
// Each item of orders is JSON: an array of orders like
//
//     {"customer": "Ada", "date": "2026-11-25", "lines": [{"article": "tea", "count": 2, "cents": 450}]}
//
// and report is a CSV file: month, customer, orders, articles, total, by month and
// then by total, the highest first. An order that was seen before, by its id, does
// not count again.
//
// What is no such order ends the call with exit code 1 and the reason.

function orderOf(value, where) {
  const { id, customer, date, lines } = value || {};
  if (typeof customer !== "string" || !/^\d{4}-\d\d-\d\d$/.test(date) || !Array.isArray(lines)) {
    throw new Error(`${where} is not an order`);
  }
  for (const { count, cents } of lines) {
    if (!Number.isSafeInteger(count) || !Number.isSafeInteger(cents)) {
      throw new Error(`${where} has a line without count and cents`);
    }
  }
  return { id, customer, month: date.slice(0, 7), lines };
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
const money = (cents) => `${cents < 0 ? "-" : ""}${Math.floor(Math.abs(cents) / 100)}.${String(Math.abs(cents) % 100).padStart(2, "0")}`;
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function run(inputs) {
  const seen = new Set();
  const sums = new Map();
  for (const item of inputs.orders || []) {
    JSON.parse(item.text).forEach((value, i) => {
      const { id, customer, month, lines } = orderOf(value, `${item.name}: order ${i + 1}`);
      if (id !== undefined && seen.has(id)) {
        return;
      }
      seen.add(id);
      const key = JSON.stringify([month, customer]);
      const sum = sums.get(key) || { month, customer, orders: 0, articles: 0, cents: 0 };
      sum.orders++;
      for (const { count, cents } of lines) {
        sum.articles += count;
        sum.cents += count * cents;
      }
      sums.set(key, sum);
    });
  }
  const rows = [...sums.values()].sort((a, b) => compare(a.month, b.month) || b.cents - a.cents || compare(a.customer, b.customer));
  const lines = rows.map((r) => [r.month, quoted(r.customer), r.orders, r.articles, money(r.cents)].join(","));
  output("report", "report.csv", ["month,customer,orders,articles,total", ...lines, ""].join("\n"));
}
