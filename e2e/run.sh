#!/usr/bin/env bash
# The end-to-end tests, as `make e2e` runs them. Settings are variables of the environment:
#   BUDGET  seconds; no further one of the long files is begun after so many, and those left out are listed at the end.
#           Empty: all are run.
#   RETRY   1: what failed gets one more chance on its own, since a shared machine stalls at times. What fails twice is
#           broken. 0: no second chance.
set -uo pipefail
cd "$(dirname "$0")/.."
BUDGET=${BUDGET:-}
RETRY=${RETRY:-1}

e2e() { .venv/bin/pytest -v --override-ini=testpaths=e2e/tests "$@"; }

failed=0 left_out=()
e2e -m "not long and not flux and not argo" e2e/tests || failed=1
mapfile -t long < <(grep -l "mark.long" e2e/tests/test_*.py)
if [ "${#long[@]}" -gt 0 ]; then
  # Which of them come first changes with each commit, so that none is left out for long.
  commit=$(git rev-parse --short=6 HEAD 2>/dev/null || echo 0)
  first=$((16#$commit % ${#long[@]}))
  for file in "${long[@]:first}" "${long[@]:0:first}"; do
    if [ -n "$BUDGET" ] && [ "$SECONDS" -gt "$BUDGET" ]; then
      left_out+=("$file")
    else
      e2e "$file" || failed=1
    fi
  done
fi
if [ "$failed" = 1 ] && [ "$RETRY" = 1 ]; then
  echo "== once more, alone: what failed"
  e2e --last-failed --last-failed-no-failures none e2e/tests && failed=0
fi
if [ "${#left_out[@]}" -gt 0 ]; then
  echo "left out of this run after ${SECONDS}s (make e2e runs them all): ${left_out[*]}"
fi
exit "$failed"
