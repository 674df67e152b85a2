# Runs all tests of slug.sh and reports in TAP. Fails if one of them does.
cd "$(dirname "$0")/.." || exit 2
. ./slug.sh

count=0
failed=0

check() { # NAME TITLE EXPECTED
    count=$((count + 1))
    got=$(slug "$2")
    if [ "$got" = "$3" ]; then
        echo "ok $count - $1"
    else
        failed=$((failed + 1))
        echo "not ok $count - $1"
        echo "  # slug '$2' gave '$got', not '$3'"
    fi
}

check "lower case" "Hello" "hello"
check "one space" "hello world" "hello-world"
check "punctuation between words" "Wait -- what?" "wait-what"
check "spaces at both ends" "  tidy  " "tidy"

echo "1..$count"
echo "$((count - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
