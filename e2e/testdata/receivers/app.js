// Receivers that check webhooks the way the products' pages tell people to, in
// Node: with Express (whichever version NODE_PATH has) and with node:http.
// Secrets come from the environment; the port is printed once it listens.
"use strict";
const crypto = require("node:crypto");
const http = require("node:http");
const express = require("express");

const env = process.env;
const digest = (secret, ...parts) => {
  const mac = crypto.createHmac("sha256", secret);
  for (const part of parts) mac.update(part);
  return mac.digest("hex");
};
// Throws when the lengths differ, as the pages' samples do.
const same = (a, b) => crypto.timingSafeEqual(Buffer.from(a), Buffer.from(b));

const app = express();

// Kid Smart AI: what is signed is not what came but what JavaScript makes of it.
app.post("/kidsmart/express", express.json(), (req, res) => {
  const want = digest(env.KIDSMART_SECRET, req.headers["x-kidsmart-timestamp"], ".", JSON.stringify(req.body));
  if (!same(req.headers["x-kidsmart-signature"], want)) return res.status(401).json({ error: "Invalid signature" });
  if (typeof req.body.type !== "string") return res.status(422).json({ error: "no type" });
  res.json({ status: "success" });
});

// AI Interview: the JSON parser hands over the bytes, as text.
const keepText = express.json({ verify: (req, _res, bytes) => { req.text = bytes.toString(); } });
const seenPairs = new Set();
app.post("/aiinterview/express", keepText, (req, res) => {
  if (!same(req.headers["x-webhook-signature"], digest(env.AIINTERVIEW_SECRET, req.text))) {
    return res.status(401).send("Invalid signature");
  }
  const pair = req.body.event + ":" + req.body.session_id;
  if (seenPairs.has(pair)) return res.status(200).send("Already processed");
  seenPairs.add(pair);
  res.status(200).send("OK");
});

// SmartCV: raw bytes, an age limit, and a digest compared after decoding it.
function checkSmartCV(payload, header, secret, timestamp) {
  if (Math.abs(Math.floor(Date.now() / 1000) - parseInt(timestamp)) > 300) throw new Error("too old");
  const want = digest(secret, timestamp + "." + payload);
  const got = header.replace("sha256=", "");
  if (!crypto.timingSafeEqual(Buffer.from(want, "hex"), Buffer.from(got, "hex"))) throw new Error("wrong signature");
}
const rawJSON = express.raw({ type: "application/json" });
app.post("/smartcv/express", rawJSON, (req, res) => {
  try {
    checkSmartCV(req.body, req.headers["x-smartcv-signature"], env.SMARTCV_SECRET, req.headers["x-smartcv-timestamp"]);
    JSON.parse(req.body);
    res.status(200).send("OK");
  } catch {
    res.status(400).send("Invalid webhook");
  }
});

// SmartCV's handler class reads what its catalogue promises of three types.
class SmartCVHandler {
  async handle(payload, header, timestamp) {
    checkSmartCV(payload, header, env.SMARTCV_SECRET, timestamp);
    const { type, data } = JSON.parse(payload);
    switch (type) {
      case "resume.created":
        return [data.resume.id, data.resume.title.length, data.resume.user_id.length];
      case "ai.analysis_completed":
        return [data.analysis.resume_id.length, data.analysis.overall_score < 70];
      case "user.subscription_changed":
        return [data.user.email.length, data.subscription.previous_type.length, data.subscription.current_type.length];
    }
  }
}
const handler = new SmartCVHandler();
app.post("/smartcv/handler", rawJSON, async (req, res) => {
  try {
    await handler.handle(req.body, req.headers["x-smartcv-signature"], req.headers["x-smartcv-timestamp"]);
    res.status(200).send("OK");
  } catch {
    res.status(400).send("Error processing webhook");
  }
});

// What a Next.js API route gets when its body parser is off: the request
// itself, and a response with status() and json(). The body's packets are
// joined as text, so a character that lies in two of them is damaged.
const storedPairs = new Set();
async function nextRoute(req, res) {
  if (req.method !== "POST") return res.status(405).json({ error: "Method not allowed" });
  try {
    const body = await new Promise((done, failed) => {
      let text = "";
      req.on("data", (packet) => { text += packet; });
      req.on("end", () => done(text));
      req.on("error", failed);
    });
    const header = req.headers["x-webhook-signature"];
    if (!header || !same(header, digest(env.AIINTERVIEW_SECRET, body))) return res.status(401).json({ error: "Invalid signature" });
    const { event, session_id } = JSON.parse(body);
    const pair = JSON.stringify([event, session_id]);
    if (storedPairs.has(pair)) return res.status(200).json({ message: "Already processed" });
    storedPairs.add(pair);
    return res.status(200).json({ message: "OK" });
  } catch {
    return res.status(500).json({ error: "Internal server error" });
  }
}
function asNext(req, res) {
  res.status = (code) => { res.statusCode = code; return res; };
  res.json = (value) => { res.setHeader("Content-Type", "application/json"); res.end(JSON.stringify(value)); return res; };
  return nextRoute(req, res);
}

// Smart KYC: one form of the value only, compared as text.
function smartKYC(req, res) {
  const packets = [];
  req.on("data", (packet) => packets.push(packet));
  req.on("end", () => {
    res.statusCode = req.headers["x-smartkyc-signature"] === digest(env.SMARTKYC_SECRET, Buffer.concat(packets)) ? 200 : 401;
    res.end();
  });
}

const plain = { "/aiinterview/next": asNext, "/smartkyc/node": smartKYC };
const server = http.createServer((req, res) => (plain[req.url] || app)(req, res));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
