#!/usr/bin/env bash
# Acceptance test of advanced failover: metrics, time-outs and circuit breakers.
#
# Writes the profile testlb489 and its three members, asks one prompt with debug lines on, and fails (exit 1) unless
# the prompt was answered and the lines show that failover was at work. It needs no key: synthetic is a port where
# nothing listens, chutes is a provider whose key is missing, and groqgpt is the embedded model (llx local pull).
#
# Variables, all optional:
#   LLXPRT_CONFIG_HOME      the configuration folder to write to; a new temporary folder where it is not set. It must
#                           hold none of these profiles yet, and ~/.llxprt is refused: nothing of yours is touched.
#   LLX_TEST_SYNTHETIC_URL  base URL of a real server for a member, in place of the above;
#   LLX_TEST_CHUTES_URL     such as http://127.0.0.1:8080/v1
#   LLX_TEST_GROQGPT_URL
#   LLX_TEST_SYNTHETIC_KEY  the key for that server, where it wants one (also LLX_TEST_CHUTES_KEY, LLX_TEST_GROQGPT_KEY)
#   LLX_TEST_DEBUG          what LLXPRT_DEBUG holds, llxprt:* where it is not set; empty switches the lines off
#   LLX_TEST_LOG            where the output is kept; test-output.log in the configuration folder where it is not set
#   LLX_COMMAND             the command to test; llx of this checkout's .venv, else the one on PATH

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "✗ ERROR: $1" >&2
  exit 1
}

command=${LLX_COMMAND:-}
if [ -z "$command" ]; then
  command=llx
  [ -x "$here/.venv/bin/llx" ] && command=$here/.venv/bin/llx
fi
command -v "$command" > /dev/null || fail "there is no command $command; install the package, or name it in LLX_COMMAND"

if [ -n "${LLXPRT_CONFIG_HOME:-}" ]; then
  mkdir -p "$LLXPRT_CONFIG_HOME"
  config=$(cd "$LLXPRT_CONFIG_HOME" && pwd -P)
else
  config=$(mktemp -d "${TMPDIR:-/tmp}/llx-test.XXXXXX")
fi
if [ -n "${HOME:-}" ] && [ "$config" = "$(cd "$HOME" && pwd -P)/.llxprt" ]; then
  fail "$config is your own configuration: set LLXPRT_CONFIG_HOME to another folder, or unset it"
fi
profiles=$config/profiles
for name in testlb489 synthetic chutes groqgpt; do
  [ ! -e "$profiles/$name.json" ] || fail "$profiles/$name.json exists already: LLXPRT_CONFIG_HOME must be a fresh folder"
done
mkdir -p "$profiles"
chmod 700 "$config" "$profiles"
umask 077
export LLXPRT_CONFIG_HOME=$config
log=${LLX_TEST_LOG:-$config/test-output.log}

member() { # NAME PROVIDER MODEL PARAMS CONNECTION
  cat > "$profiles/$1.json" << JSON
{
  "name": "$1",
  "version": 1,
  "provider": "$2",
  "model": "$3",
  "modelParams": {$4},
  "ephemeralSettings": {$5}
}
JSON
}

server() { # NAME URL VARIABLE-OF-THE-KEY
  local key=""
  [ -z "${!3:-}" ] || key=", \"auth-key-env\": \"$3\""
  member "$1" openai "$1" "" "\"base-url\": \"$2\"$key"
}

echo "=== Acceptance test: advanced failover with metrics, time-outs and circuit breakers ==="
echo ""
echo "Creating the test profile..."

cat > "$profiles/testlb489.json" << 'JSON'
{
  "name": "testlb489",
  "version": 1,
  "type": "loadbalancer",
  "policy": "failover",
  "profiles": ["synthetic", "chutes", "groqgpt"],
  "provider": "",
  "model": "",
  "modelParams": {},
  "ephemeralSettings": {
    "tpm_threshold": 500,
    "timeout_ms": 30000,
    "circuit_breaker_enabled": true,
    "circuit_breaker_failure_threshold": 3,
    "circuit_breaker_failure_window_ms": 60000,
    "circuit_breaker_recovery_timeout_ms": 30000,
    "failover_retry_count": 2,
    "failover_retry_delay_ms": 1000
  }
}
JSON

if [ -n "${LLX_TEST_SYNTHETIC_URL:-}" ]; then
  server synthetic "$LLX_TEST_SYNTHETIC_URL" LLX_TEST_SYNTHETIC_KEY
else
  server synthetic "http://127.0.0.1:9/v1" LLX_TEST_SYNTHETIC_KEY
fi
if [ -n "${LLX_TEST_CHUTES_URL:-}" ]; then
  server chutes "$LLX_TEST_CHUTES_URL" LLX_TEST_CHUTES_KEY
else
  unset LLX_TEST_CHUTES_KEY # a key without a server of its own must not go out to the provider
  member chutes chutes zai-org/GLM-4.6-FP8 "" '"auth-key-env": "LLX_TEST_CHUTES_KEY"'
fi
if [ -n "${LLX_TEST_GROQGPT_URL:-}" ]; then
  server groqgpt "$LLX_TEST_GROQGPT_URL" LLX_TEST_GROQGPT_KEY
else
  member groqgpt local smollm2-135m-instruct '"max_tokens": 60, "temperature": 0' ""
fi

echo "✓ Profile created at $profiles/testlb489.json"
echo ""

export LLXPRT_DEBUG="${LLX_TEST_DEBUG-llxprt:*}"

echo "Test 1: running a prompt through the load balancer..."
"$command" --profile-load testlb489 --prompt "write me a haiku about testing" 2>&1 | tee "$log" \
  || fail "the prompt was not answered; see $log"

echo ""
echo "Verifying the debug lines..."

check() { # WHAT LINE [OR-LINE]
  if grep -qF -e "$2" -e "${3:-$2}" "$log"; then
    echo "✓ $1"
  else
    fail "$1: no line with '$2' in $log"
  fi
}

check "failover strategy active" "[LB:failover]"
check "backend selection working" "Trying backend:" "Selected sub-profile:"
check "a backend answered" "Success on backend:"

echo ""
echo "=== Test passed ==="
echo "The output is kept in $log"
echo "Beyond this script, in a notebook: %llx_stats lb shows the metrics, %llx_log the circuit breaker's transitions."
