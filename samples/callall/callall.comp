# Calls what each job says: a function or composition by its name, on a text.

function callmake(jobs) => (requests);
function system_Invoke(requests) => (answers);
function callread(answers) => (contents, faults);

composition callall(jobs) => (contents, faults) {
    callmake(jobs = each jobs) => (requests = requests);
    system_Invoke(requests = each requests) => (answers = answers);
    callread(answers = each answers) => (contents = contents, faults = faults);
}
