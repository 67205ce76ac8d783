package devstack

// The user's cache folder: what was fetched once stays there, complete or not at all.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// cached returns the folder name in the user's cache, calling fill to make it
// when it is missing or when whole says that it is damaged. fill works in a
// temporary folder beside it, which then takes the name in one rename, so a
// folder under its final name is complete however a fetch ended. A second
// process that wants the same waits for the first.
func cached(ctx context.Context, name string, whole func(dir string) bool, fill func(ctx context.Context, tmp string) error) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	base = filepath.Join(base, "hookstream")
	dir := filepath.Join(base, name)
	if whole(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("making cache folder: %w", err)
	}
	lock := flock.New(filepath.Join(base, name+".lock"))
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return "", fmt.Errorf("waiting for another process that fetches %s: %w", name, err)
	}
	defer func() { _ = lock.Unlock() }()
	if whole(dir) {
		return dir, nil
	}
	tmp := filepath.Join(base, name+".partial") // a fixed name: what a killed fetch left is removed by the next
	for _, old := range []string{tmp, dir} {
		if err := os.RemoveAll(old); err != nil {
			return "", fmt.Errorf("clearing cache folder: %w", err)
		}
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", fmt.Errorf("making cache folder: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // gone already when all went well
	if err := fill(ctx, tmp); err != nil {
		return "", err
	}
	if !whole(tmp) {
		return "", fmt.Errorf("fetching %s: the package does not hold what it should", name)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("putting %s into the cache: %w", name, err)
	}
	return dir, nil
}
