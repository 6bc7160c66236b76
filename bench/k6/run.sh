#!/usr/bin/env bash
# Runs smoke.js, then load.js, against a server of its own: bin/pappus on a free
# port with a temporary data folder. The exit code is not 0 when a threshold
# failed or the server did not end well. See README.md for the settings.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
server=
stop() {
	status=$?
	trap - EXIT
	if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
		wait "$server" || { echo "run.sh: the server ended with $?" >&2; status=1; }
	fi
	[ $status = 0 ] || { echo "run.sh: the end of the server's log:" >&2; tail -n 20 "$dir/log" >&2 || true; }
	rm -rf "$dir"
	exit $status
}
trap stop EXIT
trap 'exit 130' INT TERM

exec {out}< <(exec bin/pappus serve --listen 127.0.0.1:0 --data "$dir/data" 2>"$dir/log")
server=$!
line=
read -r -t 30 -u "$out" line || true
case $line in
"listening on "*) export PAPPUS_URL=${line#listening on } ;;
*) echo "run.sh: the server did not say within 30 s that it listens" >&2; exit 1 ;;
esac
cat <&"$out" >/dev/null & # what else it says must not fill the pipe

export K6_NO_USAGE_REPORT=true K6_AUTO_EXTENSION_RESOLUTION=false
for script in smoke load; do
	echo "== $script against $PAPPUS_URL"
	bin/k6 run --quiet "bench/k6/$script.js"
done
