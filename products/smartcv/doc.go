// Package smartcv is the management API of SmartCV's webhooks, /api/webhooks,
// as that product's clients know it: its bodies, ids and errors, over the
// registry and the delivery log that every other webhook uses too. It shows the
// webhooks of the profile smartcv and no others.
package smartcv
