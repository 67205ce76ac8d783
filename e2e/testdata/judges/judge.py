"""Reads a request per line and prints what the public Python libraries say of it.

The same questions as judge.js asks: of the request itself, and of what it
becomes by a change of body, timestamp or secret.
"""
import base64
import json
import re
import sys

import standardwebhooks
import stripe
import svix.webhooks


def stripe_says(q, signature):
    stripe.WebhookSignature.verify_header(q["body"].decode(), f"t={q['ts']},v1={signature}", q["secret"], 300)


def stamped(name):
    return {"stripe": lambda q, h: stripe_says(q, h[name].removeprefix("sha256="))}


def by_id(library, prefix):
    def judge(q, h):
        headers = {prefix + "id": h["webhook-id"], prefix + "timestamp": q["ts"], prefix + "signature": h["webhook-signature"]}
        library(q["secret"]).verify(q["body"].decode(), headers)

    return judge


JUDGES = {
    "kidsmart": stamped("X-KidSmart-Signature"),
    "smartcv": stamped("X-SmartCV-Signature"),
    "ihateppt": stamped("X-Webhook-Signature"),
    "stripe": {"stripe": lambda q, h: stripe_says(q, re.search(r"v1=(.*)", h["Stripe-Signature"]).group(1))},
    "standard": {
        "standardwebhooks": by_id(standardwebhooks.Webhook, "webhook-"),
        "svix": by_id(svix.webhooks.Webhook, "webhook-"),
        "svix by its own names": by_id(svix.webhooks.Webhook, "svix-"),
    },
}


def says(judge, q, headers):
    try:
        judge(q, headers)
        return "verified"
    except Exception as error:
        return f"refused: {type(error).__name__} {error}"


for line in sys.stdin:
    given = json.loads(line)
    q = {"secret": given["secret"], "body": base64.b64decode(given["body64"]), "ts": given["ts"]}
    headers = given["headers"]
    verdict = {"right": {}, "wrong": {}}
    for library, judge in JUDGES.get(given["profile"], {}).items():
        verdict["right"][library] = says(judge, q, headers)
        verdict["wrong"][library + ", body"] = says(judge, q | {"body": q["body"].replace(b'":', b'x":', 1)}, headers)
        verdict["wrong"][library + ", secret"] = says(judge, q | {"secret": given["other"]}, headers)
        verdict["wrong"][library + ", timestamp"] = says(judge, q | {"ts": str(int(q["ts"]) - 1)}, headers)
    print(json.dumps(verdict))
