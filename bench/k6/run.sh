#!/usr/bin/env bash
# run.sh [SCRIPT ...]: runs scripts (all but the soak unless told) one after another,
# each against a server of its own: bin/pappus on a free port with a temporary data
# folder. The exit code is not 0 when a threshold failed, an iteration was dropped,
# or a server did not end well. SUMMARY names a file for what k6 found, of a single
# script. See README.md for the settings.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! [[ ${RATE:-1} =~ ^[1-9][0-9]*$ ]]; then
	printf 'run.sh: RATE is %q; it must be a number of calls a second, like 200\n' "$RATE" >&2
	exit 2
fi

[ $# -gt 0 ] || set -- smoke hot cold hot-ratio upload composition memo
for script; do
	if ! [ -f "bench/k6/$script.js" ]; then
		printf 'run.sh: there is no script %q in bench/k6\n' "$script" >&2
		exit 2
	fi
done
if [ $# -gt 1 ]; then
	# Every script has a server; what one of them finds does not stop the others.
	failed=
	for script; do
		bench/k6/run.sh "$script" || failed+=" $script"
	done
	[ -z "$failed" ] || { echo "run.sh: failed:$failed" >&2; exit 1; }
	exit 0
fi
script=$1

# What is cold must not stay loaded. Compiling takes its time, so that fewer are
# uploaded a second than called; and a soak is long.
flags=()
case $script in
cold | hot-ratio | soak) flags=(--loaded-code 1MiB) ;;
upload) export RATE=${RATE:-10} ;;
composition) export RATE=${RATE:-50} ;;
esac
[ "$script" != soak ] || export DURATION=${DURATION:-1h}

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
bin/pappus serve --listen 127.0.0.1:0 --data "$dir/data" "${flags[@]}" >"$dir/says" 2>"$dir/log" &
server=$!
line=
read -r -t 30 line <"$dir/says" || true
export PAPPUS_URL=${line#listening on }
if [ "$PAPPUS_URL" = "$line" ]; then
	printf 'run.sh: the server did not say that it listens, but: %s\n' "$line" >&2
	exit 1
fi

export K6_NO_USAGE_REPORT=true K6_AUTO_EXTENSION_RESOLUTION=false
printf '== %s against %s\n' "$script" "$PAPPUS_URL"
bin/k6 run --quiet ${SUMMARY:+--summary-export "$SUMMARY"} "bench/k6/$script.js"
