package main

// The commands with verbs, in the order of help.

func verbCommands() []command {
	return []command{
		{name: cmdWebhooks, short: "list, make, change, verify and delete webhooks", verbs: webhookVerbs(),
			long: "A webhook is where deliveries go: a URL, the event types it gets, and a secret that signs. The key is that of HOOKSTREAM_API_KEY.",
			examples: []string{"hookstream webhooks create --url https://example.com/hooks --events invoice.*", "hookstream webhooks list --json",
				"hookstream webhooks update wh_4zt1mbr8q0v6ksn2e5xyah7d3c --rate-limit 10", "hookstream webhooks rotate-secret wh_4zt1mbr8q0v6ksn2e5xyah7d3c"}},
		{name: cmdEvents, short: "publish events by HTTP, and look at those there were", verbs: eventVerbs(),
			long: "An event without --id gets one; the same id again is not published twice.",
			examples: []string{`hookstream events publish --type invoice.paid --data @invoice.json`, "hookstream events publish events.ndjson",
				"hookstream events list --type invoice.paid --since 24h", "hookstream events get evt_4zt1mbr8q0v6ksn2e5xyah7d3c"}},
		{name: cmdEventTypes, short: "the event types there are", verbs: []verb{eventTypesVerb()},
			examples: []string{"hookstream event-types --profile smartcv"}},
		{name: cmdLogs, short: "the deliveries of a webhook, newest first", verbs: []verb{logsVerb()},
			examples: []string{"hookstream logs wh_4zt1mbr8q0v6ksn2e5xyah7d3c --status error --since 1h"}},
		{name: cmdDeliveries, short: "deliveries of all webhooks, one with its attempts, and again", verbs: deliveryVerbs(),
			examples: []string{"hookstream deliveries list --event evt_4zt1mbr8q0v6ksn2e5xyah7d3c", "hookstream deliveries get dlv_4zt1mbr8q0v6ksn2e5xyah7d3c", "hookstream deliveries retry dlv_4zt1mbr8q0v6ksn2e5xyah7d3c"}},
		{name: cmdTail, short: "attempts as they are made", verbs: []verb{tailVerb()},
			long:     "One line an attempt, until interrupted. It connects again when the connection breaks; what happens in between is not shown.",
			examples: []string{"hookstream tail", "hookstream tail --webhook wh_4zt1mbr8q0v6ksn2e5xyah7d3c --status error", "hookstream tail --json"}},
		{name: cmdTest, short: "send a webhook a sample event and wait for what comes of it", verbs: []verb{trialVerb()},
			long:     "The sample goes through the whole pipeline, also to webhooks that are paused or not verified. Ends with 1 when the first attempt is no success.",
			examples: []string{"hookstream test wh_4zt1mbr8q0v6ksn2e5xyah7d3c", "hookstream test wh_4zt1mbr8q0v6ksn2e5xyah7d3c invoice.paid"}},
		{name: cmdDead, short: "deliveries that were given up, and again", verbs: deadVerbs(),
			examples: []string{"hookstream dead --since 24h", "hookstream dead retry dlv_4zt1mbr8q0v6ksn2e5xyah7d3c"}},
		{name: cmdBreakers, short: "webhooks that are left alone for a while", verbs: []verb{breakersVerb()},
			examples: []string{"hookstream breakers"}},
		{name: cmdSign, short: "how a body is signed: signing text, headers, and a curl line", verbs: []verb{signVerb()},
			long: "Works without a server. The secret is not in the output. Give it by --secret-env or by --secret - on standard input: command lines are seen by everybody on the machine.",
			examples: []string{"hookstream sign --profile smartcv --secret-env WEBHOOK_SECRET --body event.json", "hookstream sign --profile standard --secret-env WEBHOOK_SECRET --body - --id evt_1",
				"hookstream sign --profile github --secret - --body push.json --type push"}},
		{name: cmdVerify, short: "whether a request verifies, and if not, exactly why", verbs: []verb{verifyVerb()},
			long:     "Works without a server: give it the headers and the raw body that came. Ends with 0 when the request verifies, with 1 when it does not. Give the secret by --secret-env or on standard input.",
			examples: []string{`hookstream verify --profile kidsmart --secret-env WEBHOOK_SECRET --header 'X-KidSmart-Signature:0a1b' --header 'X-KidSmart-Timestamp:1741064767' --body body.json --at 1741064770`}},
	}
}
