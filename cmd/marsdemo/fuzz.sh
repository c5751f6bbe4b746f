#!/bin/sh
# Run every fuzz target of the project for FUZZTIME each.
set -eu
GO=${GO:-go}
FUZZTIME=${FUZZTIME:-4000x}
count=0
for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | sort); do
	pkg=./$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz: $pkg $target for $FUZZTIME"
		$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$pkg" >/tmp/mars-fuzz.$$ 2>&1 || { cat /tmp/mars-fuzz.$$; rm -f /tmp/mars-fuzz.$$; exit 1; }
		count=$((count + 1))
	done
done
rm -f /tmp/mars-fuzz.$$
echo "fuzz: $count targets passed"
