#!/bin/sh
# send.sh PROFILE URL SECRET BODY VARIANT
#
# Signs a body as the profile's product does, with openssl, and posts it with
# curl. Prints the status, a line break and the answer's body. It knows nothing
# of hookstream: the schemes are written down here once more.
#
# Variants: right, stale, future, tampered, swapped (the signature of another
# body), upper (upper-case signature), prefix (one too many), bare (none), none (no
# signature), empty, short, words (a timestamp in words), lower (header names in
# lower case), chunked.
set -eu
profile=$1 url=$2 secret=$3 body=$4 variant=$5

ts=$(date +%s)
case $variant in
stale) ts=$((ts - 310)) ;;
future) ts=$((ts + 310)) ;;
words) ts=yesterday ;;
esac
signed=$body
[ "$variant" != swapped ] || signed='{"another":"body"}'

tsheader= idheader= idvalue= pre=
case $profile in
kidsmart) name=X-KidSmart-Signature tsheader=X-KidSmart-Timestamp text=$ts.$signed ;;
aiinterview) name=X-Webhook-Signature text=$signed ;;
smartcv) name=X-SmartCV-Signature tsheader=X-SmartCV-Timestamp text=$ts.$signed pre=sha256= ;;
ihateppt)
	name=X-Webhook-Signature tsheader=X-Webhook-Timestamp text=$ts.$signed pre=sha256=
	idheader=X-Webhook-Event idvalue=ppt.generation.completed
	;;
smartkyc) name=X-SmartKYC-Signature text=$signed ;;
standard)
	idheader=webhook-id idvalue=msg_$(printf '%s' "$body" | openssl dgst -sha256 -r | cut -c1-20)
	name=webhook-signature tsheader=webhook-timestamp text=$idvalue.$ts.$signed pre=v1,
	;;
stripe) name=Stripe-Signature text=$ts.$signed pre=t=$ts,v1= ;;
github) name=X-Hub-Signature-256 text=$signed pre=sha256= idheader=X-GitHub-Event idvalue=push ;;
*)
	echo "no profile $profile" >&2
	exit 2
	;;
esac

if [ "$profile" = standard ]; then
	key=$(printf '%s' "${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
	mac=$(printf '%s' "$text" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
else
	mac=$(printf '%s' "$text" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)
fi

case $variant in
tampered) body="$body " ;;
upper) mac=$(printf '%s' "$mac" | tr a-z A-Z) ;;
prefix) pre=sha256=$pre ;;
bare) pre= ;;
short) mac=${mac%?} ;;
esac
value=$pre$mac
[ "$variant" != empty ] || value=

set -- -s -X POST "$url" -H 'Content-Type: application/json' --data-binary @- -w '\n%{http_code}'
header() { # a header, also one without a value
	h=$1
	[ "$variant" != lower ] || h=$(printf '%s' "$1" | tr A-Z a-z)
	if [ -n "$2" ]; then printf '%s: %s' "$h" "$2"; else printf '%s;' "$h"; fi
}
[ "$variant" = none ] || set -- "$@" -H "$(header "$name" "$value")"
[ -z "$tsheader" ] || set -- "$@" -H "$(header "$tsheader" "$ts")"
[ -z "$idheader" ] || set -- "$@" -H "$(header "$idheader" "$idvalue")"
[ "$profile" != github ] || set -- "$@" -H "$(header X-GitHub-Delivery "$(printf '%s' "$signed" | openssl dgst -sha256 -r | cut -c1-32)")"
[ "$variant" != chunked ] || set -- "$@" -H 'Transfer-Encoding: chunked'
printf '%s' "$body" | curl "$@" | awk '{ line[NR] = $0 } END { print line[NR]; for (i = 1; i < NR; i++) printf "%s%s", line[i], (i < NR - 1 ? "\n" : "") }'
