package devstack

// Where libchdb, the ClickHouse engine as a library, comes from.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// LibraryEnv names another copy of libchdb than the one that FetchLibrary gets.
const LibraryEnv = "HOOKSTREAM_CHDB_LIB"

// libraryPackage is one npm package that holds libchdb, pinned.
type libraryPackage struct {
	name      string // npm package
	version   string
	integrity string // of the packed file: base64 of its SHA-512
	packed    int64  // bytes to download
	file      string // the library inside the package
	size      int64  // its bytes
}

// libraryFor is the package of a platform; ok is false where there is none
// that could be pinned.
func libraryFor(goos, goarch string) (p libraryPackage, ok bool) {
	if goos == "linux" && goarch == "amd64" {
		return libraryPackage{
			name:      "@chdb/lib-linux-x64-gnu",
			version:   "26.7.3-stable.1",
			integrity: "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
			packed:    177817999,
			file:      "libchdb.so",
			size:      566330096,
		}, true
	}
	return libraryPackage{}, false
}

// FetchLibrary returns the path of libchdb. HOOKSTREAM_CHDB_LIB wins when it is
// set; else the library is taken from the user's cache folder, and got from npm
// at the first call: a download of 178 MB and 566 MB on disk, pinned by version
// and checksum. Two processes may call it at once. What it does is shown on
// progress, which may be nil.
func FetchLibrary(ctx context.Context, progress io.Writer) (string, error) {
	if path := os.Getenv(LibraryEnv); path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("%s names a library that cannot be read: %w", LibraryEnv, err)
		}
		if info.IsDir() {
			return "", fmt.Errorf("%s is the folder %s; give the library file itself (libchdb.so)", LibraryEnv, path)
		}
		return path, nil
	}
	p, ok := libraryFor(runtime.GOOS, runtime.GOARCH)
	if !ok {
		return "", fmt.Errorf("there is no pinned ClickHouse engine (libchdb) for %s/%s; set %s to a libchdb of yours",
			runtime.GOOS, runtime.GOARCH, LibraryEnv)
	}
	if progress == nil {
		progress = io.Discard
	}
	dir, err := cached(ctx, "chdb-"+p.version, p.whole, func(ctx context.Context, tmp string) error {
		return p.fetch(ctx, tmp, progress)
	})
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return "", fmt.Errorf("fetching the ClickHouse engine: %w", ctx.Err())
		}
		return "", err
	}
	return filepath.Join(dir, p.file), nil
}

// whole tells a complete library from one that a power cut shortened. The
// checksum was compared before unpacking; reading 566 MB again at every start
// would cost more than starting.
func (p libraryPackage) whole(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, p.file))
	return err == nil && info.Size() == p.size
}
