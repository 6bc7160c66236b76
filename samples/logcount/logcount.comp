# How often a pattern occurs in log files: counted in each, then added up.
function Count = "sumoccurrence" (logs, pattern) => (counts);
function Sum = "sum" (numbers) => (total);

composition logcount(logs, pattern) => (total) {
    Count(logs = each logs, pattern = all pattern) => (partial = counts);
    Sum(numbers = optional all partial) => (total = total);
}
