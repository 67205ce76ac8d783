// Reads a request per line and prints what the public libraries say of it,
// those whose scheme the profile shares: of the request itself, and of what it
// becomes by a change of body, timestamp or secret, each of which has to be
// refused. A product whose header looks different is rearranged to the
// library's own form.
"use strict";
const Stripe = require("stripe");
const standard = require("standardwebhooks");
const svix = require("svix");

(async () => {
  const { verify } = await import("@octokit/webhooks-methods");
  const stripe = new (Stripe.default || Stripe)("sk_test_none");
  const bare = (s) => s.replace(/^sha256=/, "");
  const byStripe = (q, header) => {
    stripe.webhooks.constructEvent(q.body, header, q.secret);
    return true;
  };
  const stamped = (signature) => ({ stripe: (q, h) => byStripe(q, "t=" + q.ts + ",v1=" + bare(h[signature])) });
  const overBody = (signature) => ({ octokit: (q, h) => verify(q.secret, q.body.toString("utf8"), "sha256=" + bare(h[signature])) });
  const byId = (Webhook, prefix) => (q, h) => {
    new Webhook(q.secret).verify(q.body.toString("utf8"), {
      [prefix + "id"]: h["webhook-id"], [prefix + "timestamp"]: q.ts, [prefix + "signature"]: h["webhook-signature"],
    });
    return true;
  };
  const judges = {
    kidsmart: stamped("X-KidSmart-Signature"),
    smartcv: stamped("X-SmartCV-Signature"),
    ihateppt: stamped("X-Webhook-Signature"),
    stripe: { stripe: (q, h) => byStripe(q, h["Stripe-Signature"].replace(/^t=\d+/, "t=" + q.ts)) },
    aiinterview: overBody("X-Webhook-Signature"),
    smartkyc: overBody("X-SmartKYC-Signature"),
    github: overBody("X-Hub-Signature-256"),
    standard: {
      standardwebhooks: byId(standard.Webhook, "webhook-"),
      svix: byId(svix.Webhook, "webhook-"),
      "svix by its own names": byId(svix.Webhook, "svix-"),
    },
  };
  const says = async (judge, q, h) => {
    try {
      return (await judge(q, h)) ? "verified" : "refused";
    } catch (e) {
      return "refused: " + e.message;
    }
  };
  for await (const line of require("node:readline").createInterface({ input: process.stdin })) {
    const { profile, secret, other, ts, headers, body64 } = JSON.parse(line);
    const body = Buffer.from(body64, "base64"), text = body.toString("utf8");
    const verdict = { right: {}, wrong: {}, fixed: JSON.stringify(JSON.parse(text)) === text };
    for (const [library, judge] of Object.entries(judges[profile])) {
      verdict.right[library] = await says(judge, { secret, body, ts }, headers);
      verdict.wrong[library + ", body"] = await says(judge, { secret, body: Buffer.from(text.replace(/":/, 'x":'), "utf8"), ts }, headers);
      verdict.wrong[library + ", secret"] = await says(judge, { secret: other, body, ts }, headers);
      if (ts) verdict.wrong[library + ", timestamp"] = await says(judge, { secret, body, ts: String(Number(ts) - 1) }, headers);
    }
    console.log(JSON.stringify(verdict));
  }
})();
