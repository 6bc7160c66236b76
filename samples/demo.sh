#!/usr/bin/env bash
# Shows what Pappus does: starts bin/pappus with a temporary data folder on a
# free port, uploads the samples, runs them on real input, compares what they
# give with what is expected, and stops. Needs nothing but bash and the tools
# of every POSIX system.
#
#   make demo          build and show
#   KEEP=1 make demo   leave the server running at the end
#
# The exit code is not 0 when anything was not as expected.
set -euo pipefail
cd "$(dirname "$0")/.."

bold= dim= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
note() { printf '  %s%s%s\n' "$dim" "$1" "$plain"; }
fail() { printf 'demo: %s\n' "$1" >&2; exit 1; }

# show prints a command as one would type it, runs it, and prints what it says:
# of its standard output, which $dir/stdout holds, the first lines. It must end
# with the exit code $2, by default 0.
show() {
	local status=0 lines
	printf '  $ %s\n' "$1"
	eval "$1" >"$dir/stdout" 2>"$dir/stderr" || status=$?
	sed -n '1,5s/^/    /p' "$dir/stdout"
	lines=$(wc -l <"$dir/stdout")
	[ "$lines" -le 5 ] || printf '    … %d lines in all\n' "$lines"
	sed 's/^/    /' "$dir/stderr"
	[ "$status" = "${2:-0}" ] || fail "the command ended with exit code $status instead of ${2:-0}"
	[ "$status" = 0 ] || note "exit code $status"
}

# same holds a result against what a case folder says.
same() {
	cmp "$1" "$2" >&2 || fail "the result differs from $2"
	note "ok: the same bytes as $2"
}

for program in pappus logserver; do
	[ -x "bin/$program" ] || fail "bin/$program is not there; build it with: make build demo"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/pappus-demo.XXXXXX")
server=
logservers=()
finish() {
	local status=$?
	trap - EXIT
	trap '' INT TERM
	for each in "${logservers[@]}"; do
		kill "$each" 2>/dev/null || true
		wait "$each" 2>/dev/null || true
	done
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" || { status=$?; printf 'demo: the server ended with %s\n' "$status" >&2; }
	fi
	if [ "$status" != 0 ] && [ "$status" -lt 128 ] && [ -s "$dir/log" ]; then
		printf 'demo: the end of the server'\''s log:\n' >&2
		tail -n 20 "$dir/log" >&2
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Servers write one line to their standard output, once they take requests.
mkfifo "$dir/says"

title 'Three machines with logs'
note 'Each hands out the same folder by HTTP here. They are on this machine, where functions may connect to nothing unless it is allowed.'
allowed=
for n in 1 2 3; do
	printf '  $ bin/logserver samples/logcount/cases/errors/in/logs\n'
	bin/logserver samples/logcount/cases/errors/in/logs >"$dir/says" &
	logservers+=("$!")
	read -r -t 30 line <"$dir/says" || fail 'a log server did not start'
	printf '    %s\n' "$line"
	logs[n]=${line#listening on }
	allowed+=${allowed:+,}${logs[n]#http://}
done

title 'A server'
note 'All that it keeps is in one folder; port 0 takes a free one.'
printf '  $ bin/pappus serve --listen 127.0.0.1:0 --data %s/data --egress-allow %s\n' "$dir" "$allowed"
bin/pappus serve --listen 127.0.0.1:0 --data "$dir/data" --egress-allow "$allowed" >"$dir/says" 2>"$dir/log" &
server=$!
read -r -t 30 line <"$dir/says" || fail 'the server did not start'
printf '    %s\n' "$line"
url=${line#listening on }
[ "$url" != "$line" ] || fail 'this is not what the server should say'
export PAPPUS_SERVER=$url
note 'In another terminal one would say where it is:'
printf '  $ export PAPPUS_SERVER=%s\n' "$url"

title 'Upload functions'
note 'Each of these is a file of a few KB that imports nothing; it is checked and compiled now.'
for name in wordcount sumoccurrence matmul matmul-size; do
	show "bin/pappus push samples/$name/$name.wasm"
done

title 'Count the words of a book'
note "Newton's Opticks, half a megabyte; each file of the folder is an item."
case=samples/wordcount/cases/opticks
show "bin/pappus invoke wordcount --in text=$case/in/text --stats"
same "$dir/stdout" "$case/out/counts/counts"
note 'queue: waiting for a processor. prepare: loading the code. run: a new isolate, and the function in it.'

title 'Count the errors in log files'
note 'This function has two input sets: the logs, and what to look for.'
case=samples/sumoccurrence/cases/errors
show "bin/pappus invoke sumoccurrence --in logs=$case/in/logs --in pattern=text:ERROR --stats"
same "$dir/stdout" "$case/out/counts/counts"

title 'Count them where they are'
note 'A list of addresses and a pattern in, a number out: requests are made, sent at the same time, the answers counted, the counts added up.'
show 'bin/pappus push samples/httpmake/httpmake.wasm'
show 'bin/pappus push samples/sum/sum.wasm'
show 'bin/pappus compose push samples/logcount-http/logcount-http.comp'
printf '%s\n' "${logs[1]}/web-01.log" "${logs[2]}/web-02.log" "${logs[3]}/db-01/today.log" >"$dir/servers"
show "bin/pappus invoke logcount_http --in servers=$dir/servers --in pattern=text:ERROR --stats"
same "$dir/stdout" samples/logcount/cases/errors/out/total/total

title 'Multiply a matrix of 128 × 128 integers by its transpose'
note '--out writes every item that comes back into a file.'
case=samples/matmul/cases/128x128
show "bin/pappus invoke matmul --in matrices=$case/in/matrices --out $dir/out --stats"
same "$dir/out/products/m" "$case/out/products/m"

title 'The same, without inputs to send: the function gets the size only'
case=samples/matmul-size/cases/128
show 'bin/pappus invoke matmul-size --raw text:128 --stats'
same "$dir/stdout" "$case/out/checksum/checksum"

title 'Ask in SQL, over CSV files'
note 'SQLite, compiled as it is: a program with libc as a pure function.'
show 'bin/pappus push samples/libc/sql/sql.wasm'
case=samples/sql/cases/join
show "bin/pappus invoke sql --in tables=$case/in/tables --in query=$case/in/query --stats"
same "$dir/stdout" "$case/out/rows/1.csv"

title 'Give it less fuel than it needs'
note 'Fuel counts what the code does, so it ends at the same point on every machine.'
show 'bin/pappus push samples/matmul-size/matmul-size.wasm --tag small --fuel 1000000'
show 'bin/pappus invoke matmul-size@small --raw text:128' 6

title 'What is there now'
show 'bin/pappus ls'
show 'bin/pappus ls matmul-size'

title 'Everything was as expected.'
if [ -z "${KEEP:-}" ]; then
	note 'KEEP=1 make demo leaves the server running.'
	exit
fi
trap - EXIT
cat <<END
The server keeps running, with all it has in $dir. Try

  export PAPPUS_SERVER=$url
  bin/pappus invoke wordcount --raw text:'to be or not to be'
  curl --data-binary 'to be or not to be' $url/v1/invoke/wordcount

and stop it with

  kill $server; rm -rf $dir
END
