// Package endpoint is the registry: which endpoints and tenants there are, what
// an event matches, their secrets under the master key, and the HTTP routes
// that change them. Its state is the last row per key of the topics endpoints
// and tenants, fed to Apply; nothing else writes it.
package endpoint
