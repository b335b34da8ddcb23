#!/usr/bin/env bash
# Runs checks and tests: `tests/run.sh quick` (what `make test` runs), or `tests/run.sh full`, which adds the rest.
# Every step runs, whatever the ones before found; the last lines say which failed. Needs no root.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=${1:-quick}
bin=${BIN:-.venv/bin}
code=(tickerd plugins tests)
[[ -d benchmarks ]] && compgen -G 'benchmarks/*.py' >/dev/null && code+=(benchmarks)
began=$SECONDS
done_steps=()
failed=()

# What the calling shell happens to set must not decide how a test ends.
unset JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID NO_COLOR FORCE_COLOR PYTHONWARNINGS
# Sets have the same order in all workers, so that they collect tests of the same names.
export PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0

step() { # step NAME COMMAND…
    local name=$1 start=$SECONDS status=0
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" || status=$?
    printf '== %s: %s after %d s\n' "$name" "$([[ $status == 0 ]] && echo ok || echo "FAILED ($status)")" $((SECONDS - start))
    done_steps+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
    [[ $status == 0 ]] || failed+=("$name")
}

quick=(-n 3 -m "not full and not root") # three for two cores: tests also wait
tests() { "$bin/python" -m pytest --durations=10 "$@"; }

# Slow, and tests may poll: only the files that ship and that know trio.
async_rules() {
    grep -rlE --include='*.py' '\basync\b|\btrio\b' tickerd plugins | xargs "$bin/flake8"
}

# Known weaknesses of what we depend on; where its database cannot be reached it says so, and that is no failure.
audit() {
    local said status=0
    # ours is not on a registry, and the dependencies are those that are installed here
    said=$("$bin/pip-audit" --progress-spinner off --skip-editable --timeout 10 2>&1) || status=$?
    printf '%s\n' "$said" | grep -v 'could not be audited'
    local unknown
    unknown=$(grep -c 'could not be audited' <<<"$said")
    ((unknown == 0)) || echo "$unknown packages could not be audited: the registry here does not know of weaknesses"
    if [[ $status != 0 ]] && grep -qE 'ConnectionError|ServiceError|NewConnectionError|Max retries|NameResolution|Timeout|ProxyError|HTTPError|SSLError' <<<"$said"; then
        echo "the database of weaknesses cannot be reached from here: nothing was audited"
        return 0
    fi
    return $status
}

case $mode in
quick)
    step "ruff check" "$bin/ruff" check "${code[@]}"
    step "ruff format" "$bin/ruff" format --check "${code[@]}"
    step "flake8-async" async_rules
    step "mypy" "$bin/mypy"
    step "import contracts" "$bin/lint-imports" --no-logo
    step "tests" tests "${quick[@]}"
    ;;
full)
    step "bandit" "$bin/bandit" -q -c pyproject.toml -r tickerd plugins/tickerd_plugins
    step "pip-audit" audit
    # The quick ones under the tracer, which takes half as long again. The report fails below the limit in pyproject.toml.
    rm -f .coverage .coverage.*
    step "quick tests, traced" tests --cov --cov-report= --cov-fail-under=0 "${quick[@]}"
    step "coverage" "$bin/coverage" report
    # One after the other, and with nothing that slows them down: some measure time, load or memory.
    step "long tests" tests -o timeout=900 -m "full or root"
    ;;
*)
    echo "usage: tests/run.sh quick|full" >&2
    exit 64
    ;;
esac

printf '\n== %s in %d s\n' "$mode" $((SECONDS - began))
printf '%s\n' "${done_steps[@]}"
if ((${#failed[@]})); then
    printf '== FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "== all passed"
