//go:build !(linux || darwin) || nochdb

package devstack

// A build without the ClickHouse engine.

import "errors"

// loadChdb says that there is no engine in this build.
func loadChdb(string) (*chdbLibrary, error) {
	return nil, errors.New("this build has no ClickHouse engine; use a server instead, or a build without -tags nochdb")
}
