package main

// The command "topics": create the topics, or check them.

import "context"

func runTopics(ctx context.Context, inv Invocation) error {
	if len(inv.Args) != 1 || (inv.Args[0] != "create" && inv.Args[0] != "check") {
		return Usage("hookstream topics takes create or check; see: hookstream help topics")
	}
	return context.Cause(ctx)
}
