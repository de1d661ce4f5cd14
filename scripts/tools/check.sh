# Sourced by the scripts that count checks: `check NAME COMMAND...`, then `total`.
# A check is one line, and what the command said if it failed.
passed=0 failed=0

check() {
  name=$1
  shift
  if output=$("$@" 2>&1 </dev/null); then
    passed=$((passed + 1))
    echo "ok     $name"
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n%s\n' "$name" "$output"
  fi
}

total() {
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
