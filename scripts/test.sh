#!/bin/sh
# Runs every test: make test. Each part runs even when an earlier one failed;
# the summary at the end says which, and the exit code is that of all.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx
export PATH
summary=""
status=0

part() { # name, command…
	name=$1
	shift
	echo
	echo "== $name"
	begin=$(date +%s)
	if "$@"; then
		verdict=ok
	else
		verdict=FAIL
		status=1
	fi
	summary="$summary
  $verdict	$name	$(($(date +%s) - begin)) s"
}

skip() {
	echo
	echo "== $1: skipped, $2"
	summary="$summary
  skipped	$1	$2"
}

race=-race
sdk() { (cd sdk && npm ci --no-audit --no-fund --loglevel=error && npm test); }
unit() { go test $race -timeout 20m $(go list ./... | grep -v '/test\(/\|$\)'); }

part "programs for the tests" scripts/install.sh
if ! command -v gcc >/dev/null 2>&1 && ! command -v clang >/dev/null 2>&1; then
	race=""
	echo "no C compiler: testing without the race detector"
fi
part "build" go build ./...
part "vet" go vet ./...
part "unit${race:+ and race}" unit
part "fuzz" scripts/fuzz.sh 5s
if [ -d test ]; then
	part "end to end" go test -timeout 30m ./test/...
else
	skip "end to end" "there is no test/"
fi
if [ ! -f sdk/package.json ]; then
	skip "client SDK" "there is no sdk/package.json"
elif ! command -v npm >/dev/null 2>&1; then
	skip "client SDK" "npm is missing"
else
	part "client SDK" sdk
fi

echo
echo "== summary$summary"
exit $status
