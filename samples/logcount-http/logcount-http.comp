# How often a pattern occurs in the logs of servers, all of which are asked by HTTP
# at the same time: a list of URIs and a pattern in, a number out.
function Make = "httpmake" (uris) => (requests);
function HTTP (requests) => (headers, bodies);
function Count = "sumoccurrence" (logs, pattern) => (counts);
function Sum = "sum" (numbers) => (total);

composition logcount_http(servers, pattern) => (total) {
    Make(uris = all servers) => (requests = requests);
    HTTP(requests = each requests) => (logs = bodies);
    Count(logs = each logs, pattern = all pattern) => (partial = counts);
    Sum(numbers = optional all partial) => (total = total);
}
