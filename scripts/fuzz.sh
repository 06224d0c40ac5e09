#!/bin/sh
# Runs every fuzz target of the repository for a short while: scripts/fuzz.sh [time each, 5s].
# A crasher stays in testdata/fuzz/<Target>/: commit it with the fix.
set -u
cd "$(dirname "$0")/.." || exit 1
each=${1:-5s}
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^(.*)/[^/]*:func (Fuzz.*)$|\1 \2|' | sort)
count=$(echo "$targets" | grep -c .)
echo "fuzzing $count targets for $each each"
while read -r dir target; do
	[ -n "$target" ] || continue
	if go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" -fuzzminimizetime 10x "$dir" >"$log" 2>&1; then
		echo "ok    $dir $target"
	elif ! grep -q 'Failing input\|panic\|build failed' "$log" && grep -q 'context deadline exceeded' "$log"; then
		echo "ok    $dir $target (stopped late)" # golang.org/issue/48591: the end of the time taken for a failure
	else
		echo "FAIL  $dir $target"
		cat "$log"
		failed=1
	fi
done <<LIST
$targets
LIST
exit $failed
