#!/usr/bin/env bash
# Runs smoke.js, then load.js, against a server of its own: bin/pappus on a free
# port with a temporary data folder. The exit code is not 0 when a threshold
# failed or the server did not end well. See README.md for the settings.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! [[ ${RATE:-1} =~ ^[1-9][0-9]*$ ]]; then
	printf 'run.sh: RATE is %q; it must be a number of calls a second, like 200\n' "$RATE" >&2
	exit 2
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/pappus-k6.XXXXXX")
server=
finish() {
	local status=$?
	trap - EXIT
	trap '' INT TERM
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" || { status=$?; printf 'run.sh: the server ended with %s\n' "$status" >&2; }
	fi
	if [ "$status" != 0 ] && [ -s "$dir/log" ]; then
		printf 'run.sh: the end of the server'\''s log:\n' >&2
		tail -n 20 "$dir/log" >&2
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The server writes one line to its standard output, once it takes requests.
mkfifo "$dir/says"
bin/pappus serve --listen 127.0.0.1:0 --data "$dir/data" >"$dir/says" 2>"$dir/log" &
server=$!
line=
read -r -t 30 line <"$dir/says" || true
export PAPPUS_URL=${line#listening on }
if [ "$PAPPUS_URL" = "$line" ]; then
	printf 'run.sh: the server did not say that it listens, but: %s\n' "$line" >&2
	exit 1
fi

export K6_NO_USAGE_REPORT=true K6_AUTO_EXTENSION_RESOLUTION=false
for script in smoke load; do
	printf '== %s against %s\n' "$script" "$PAPPUS_URL"
	bin/k6 run --quiet "bench/k6/$script.js"
done
