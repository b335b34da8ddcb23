#!/bin/sh
# Verifies a webhook of tickerd; needs a POSIX shell, od, and openssl for SHA-256 and base64.
#
#   WEBHOOK_SECRET=whsec_… sh verify.sh ID TIMESTAMP SIGNATURE < body
#
# The HMAC is built from two hashes, since openssl takes its key on the command line, where all users can see it.
set -eu

id=${1-} timestamp=${2-} signatures=${3-}

refuse() {
    echo "refused: $1" >&2
    exit 1
}

sha256() { openssl dgst -sha256 -binary; }
hex() { od -An -v -tx1 | tr -d ' \n'; }

# bytes HEX MASK: each byte, changed by the mask, as it is written
bytes() {
    rest=$1
    while [ -n "$rest" ]; do
        tail=${rest#??}
        # shellcheck disable=SC2059
        printf "\\$(printf '%03o' $((0x${rest%"$tail"} ^ $2)))"
        rest=$tail
    done
}

[ -n "$id" ] || refuse "no id"
case $timestamp in '' | 0* | *[!0-9]* | ?????????????*) refuse "no timestamp" ;; esac
age=$(($(date +%s) - timestamp))
{ [ "$age" -le 300 ] && [ "$age" -ge -300 ]; } || refuse "too old, or this machine's clock is wrong"

key=$(printf '%s' "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | hex)
[ "${#key}" -ge 48 ] && [ "${#key}" -le 128 ] || refuse "the secret is not one of tickerd's"
while [ "${#key}" -lt 128 ]; do key=${key}00; done

inner=$({
    bytes "$key" 0x36
    printf '%s.%s.' "$id" "$timestamp"
    cat
} | sha256 | hex)
expected=v1,$({
    bytes "$key" 0x5c
    bytes "$inner" 0
} | sha256 | openssl base64 -A)

# hashes with a random beginning are compared, so that the time tells nothing about the signature
random=$(openssl rand -hex 16)
blind() { printf '%s%s' "$random" "$1" | sha256 | hex; }
set -f
for one in $signatures; do # several while a secret is replaced: one that fits is enough
    [ "$(blind "$one")" != "$(blind "$expected")" ] || {
        echo genuine
        exit 0
    }
done
refuse "no signature fits"
