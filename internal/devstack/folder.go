package devstack

// The lock on a data folder: one process at a time may use it.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockFile stands in every data folder that an engine uses. The kernel frees
// the lock when its process ends, however it ends, so it never has to be removed.
const lockFile = "hookstream.lock"

// lockFolder makes dir if needed and locks it, trying for at most wait: a
// predecessor that was killed may need a moment to be gone.
func lockFolder(ctx context.Context, dir string, wait time.Duration) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	ok, err := lock.TryLock()
	if err == nil && !ok && wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		ok, err = lock.TryLockContext(waiting, 50*time.Millisecond)
		if waiting.Err() != nil && ctx.Err() == nil {
			err = nil // it stayed locked, which is what ok says
		}
	}
	if err != nil {
		return nil, fmt.Errorf("locking data folder %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("data folder %s is in use by another process; stop that one or choose another folder", dir)
	}
	return lock, nil
}
