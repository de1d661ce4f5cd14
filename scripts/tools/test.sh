#!/bin/sh
# Runs the specs and the C programs against one build; the last line is "N passed, N failed".
#   BUILD=build/asan   the build to test
#   PROGRAMS="..."     the C programs (the Makefile knows them); each exits 0, a pass, or not
#   SPEC="files"       only these (spec/x_spec.lua, spec/embed/x.c); FILTER=pattern: only tests so named
#   LIMIT=300          seconds that one file may take
#   UNDER="valgrind …" what to run them under; not the children of a spec
# Each spec file has a process of its own, so that a crash costs one file, and a leak has an address.
set -u
: "${BUILD:=build}" "${PROGRAMS:=}" "${SPEC:=}" "${FILTER:=}" "${LIMIT:=300}" "${UNDER:=}"

top=$(pwd)
work=$BUILD/test
MUSTER=$top/$BUILD/muster
# Sanitizer reports go to files: a child whose stderr and status a spec swallows still fails the run.
ASAN_OPTIONS=detect_leaks=1:log_path=$top/$work/report
UBSAN_OPTIONS=print_stacktrace=1:log_path=$top/$work/report
export MUSTER ASAN_OPTIONS UBSAN_OPTIONS
rm -rf "$work"
mkdir -p "$work"

passed=0 failed=0 pending=0

# shellcheck disable=SC2086 # $UNDER is a list of words
limited() { timeout --foreground -k 10 "$LIMIT" $UNDER "$@" </dev/null; }

reason() { # exit status
  case $1 in
    0) echo "a sanitizer's report" ;;
    124 | 137) echo "no end after $LIMIT s" ;;
    *) echo "exit status $1" ;;
  esac
}

# Adds the counts of one file. A bad end, or a sanitizer's report, is one failure if it counted none itself.
settle() { # name, exit status, passed, failed
  passed=$((passed + $3))
  failed=$((failed + $4))
  reports=$(find "$work" -name 'report.*')
  if [ "$4" = 0 ] && [ "$2$reports" != 0 ]; then
    failed=$((failed + 1))
    echo "not ok $1: $(reason "$2")"
  fi
  # shellcheck disable=SC2086 # a list of files
  [ -z "$reports" ] || { cat $reports; rm -f $reports; }
}

run_spec() {
  echo "$1"
  rm -f "$work/counts"
  MUSTER_COUNTS=$work/counts limited "$MUSTER" --slow 0 scripts/tools/busted.lua ${FILTER:+"--filter=$FILTER"} "$1"
  status=$? good=0 bad=0 later=0
  if [ -r "$work/counts" ]; then read -r good bad later < "$work/counts"
  elif [ "$status" = 0 ]; then status='0, before its end'
  fi
  pending=$((pending + later))
  settle "$1" "$status" "$good" "$bad"
}

run_program() {
  limited "$1"
  status=$?
  settle "$1" "$status" "$([ "$status" = 0 ] && echo 1 || echo 0)" 0
}

run() {
  case $1 in
    spec/sched/*.c) run_program "$BUILD/spec/sched_alone" ;;
    *.c) run_program "$BUILD/spec/$(basename "$1" .c)" ;;
    *) run_spec "$1" ;;
  esac
}

if [ -n "$SPEC" ]; then
  for file in $SPEC; do run "$file"; done
else
  for file in $(find spec -name '*_spec.lua' | sort); do run_spec "$file"; done
  for program in $PROGRAMS; do run_program "$program"; done
fi

[ "$pending" = 0 ] || echo "$pending pending"
[ $((passed + failed)) != 0 ] || { echo "nothing was run"; failed=1; }
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
