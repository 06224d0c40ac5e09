#!/bin/sh
# Runs every test: make test. Each part runs even when an earlier one failed;
# the summary at the end says which, and the exit code is that of all.
set -u
cd "$(dirname "$0")/.." || exit 1
# What scripts/install.sh has from npm; where Debian keeps nginx.
PATH=$PWD/bin/node/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH
command -v go >/dev/null 2>&1 || { echo "Go is missing: https://go.dev/dl/" >&2; exit 1; }
# The programs that tests build need no revision, and go fails where git does not trust the checkout's owner.
GOFLAGS="$(go env GOFLAGS) -buildvcs=false"
export GOFLAGS
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

# The end-to-end tests have a part of their own, and what npm brought along is not ours.
packages() { go list ./... | grep -v -e '^liverelay/test$' -e '^liverelay/test/' -e /node_modules/; }

race=-race
build() { mkdir -p bin && CGO_ENABLED=0 go build -o bin/ ./cmd/...; }
vet() {
	unformatted=$("$(go env GOROOT)/bin/gofmt" -l $(packages | sed 's,^liverelay/\([^/]*\).*,\1,' | sort -u) test) || return
	[ -z "$unformatted" ] || { printf 'not as gofmt writes it:\n%s\n' "$unformatted"; return 1; }
	go vet $(packages) ./test/...
}
# One package at a time: beside each other, tests that wait for real servers run out of patience.
unit() { go test $race -p 1 -timeout 30m $(packages); }
# npm before 11 misses peers in the lock file that nothing here needs.
sdk() { (cd sdk && npm ci --no-audit --no-fund --loglevel=error && npm test); }
players() { (cd test/players && npm ci --ignore-scripts --loglevel=error && npm test); }
# The SDK's sources are in the pages. They are tested as the server carries them.
pages() { (cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build) && build && (cd web && npm test); }
sdk_end_to_end() { (cd sdk && npm run test:e2e); }

part "programs for the tests" scripts/install.sh
if ! command -v gcc >/dev/null 2>&1 && ! command -v clang >/dev/null 2>&1; then
	race=""
	echo "no C compiler: testing without the race detector"
fi
part "build" build
part "format and vet" vet
part "unit${race:+ and race}" unit
part "fuzz" scripts/fuzz.sh 5s
# They build the server as a program of its own, so Go does not see that it has changed and would keep an old result.
part "end to end" go test -count=1 -p 1 -timeout 30m ./test/...
if ! command -v npm >/dev/null 2>&1 || ! command -v ffmpeg >/dev/null 2>&1 || [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
	skip "real players" "it needs npm, ffmpeg and Node.js 20"
else
	part "real players" players
fi
if [ ! -f sdk/package.json ]; then
	skip "client SDK" "there is no sdk/package.json"
elif ! command -v npm >/dev/null 2>&1; then
	skip "client SDK" "npm is missing"
elif [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
	skip "client SDK" "its tests need Node.js 20, here is $(node -v)"
else
	part "client SDK" sdk
	if grep -q '"test:e2e"' sdk/package.json; then
		part "client SDK end to end" sdk_end_to_end
	fi
	part "pages" pages
fi

echo
echo "== summary$summary"
scripts/install.sh --missing
exit $status
