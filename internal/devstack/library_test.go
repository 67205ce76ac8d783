package devstack

// How the library is got, with an npm that does what the test wants.

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeNPM puts an npm on the PATH that hands out a package with the given
// files and counts its calls.
func fakeNPM(t *testing.T, files map[string]string) (p libraryPackage, calls func() int) {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	_ = archive.Close()
	_ = zip.Close()
	dir := t.TempDir()
	tgz, log := filepath.Join(dir, "package.tgz"), filepath.Join(dir, "calls")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\nwhile [ \"$1\" != --pack-destination ]; do shift; done\ncp %s \"$2\"/lib.tgz\n", log, tgz)
	if err := os.WriteFile(tgz, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	sum := sha512.Sum512(packed.Bytes())
	return libraryPackage{
			name: "@test/lib", version: "1.2.3", integrity: base64.StdEncoding.EncodeToString(sum[:]),
			packed: int64(packed.Len()), file: "libchdb.so", size: int64(len(files["package/libchdb.so"])),
		}, func() int {
			b, _ := os.ReadFile(log)
			return bytes.Count(b, []byte("\n"))
		}
}

func (p libraryPackage) get(t *testing.T) (string, error) {
	var progress bytes.Buffer
	dir, err := cached(t.Context(), "chdb-"+p.version, p.whole, func(ctx context.Context, tmp string) error {
		return p.fetch(ctx, tmp, &progress)
	})
	return filepath.Join(dir, p.file), err
}

func TestLibraryIsFetchedOnce(t *testing.T) {
	p, calls := fakeNPM(t, map[string]string{"package/other": "x", "package/libchdb.so": "the library"})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			path, err := p.get(t)
			if b, _ := os.ReadFile(path); err != nil || string(b) != "the library" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	all.Wait()
	if calls() != 1 {
		t.Fatalf("npm was called %d times", calls())
	}
	path, _ := p.get(t)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("the cache holds %v", entries)
	}
	// A power cut left less than the whole.
	if err := os.WriteFile(path, []byte("the"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.get(t); err != nil || calls() != 2 {
		t.Fatalf("a damaged library: %v, %d calls", err, calls())
	}
}

func TestLibraryFailuresAreOneClearLine(t *testing.T) {
	check := func(t *testing.T, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%v", err)
		}
	}
	t.Run("wrong checksum", func(t *testing.T) {
		p, _ := fakeNPM(t, map[string]string{"package/libchdb.so": "changed"})
		p.integrity = "somethingelse=="
		path, err := p.get(t)
		check(t, err, "not the pinned sha512-somethingelse==")
		if _, err := os.Stat(path); err == nil {
			t.Fatal("it was kept")
		}
	})
	t.Run("another file", func(t *testing.T) {
		p, _ := fakeNPM(t, map[string]string{"package/readme": "x"})
		_, err := p.get(t)
		check(t, err, "holds no libchdb.so")
	})
	t.Run("another size", func(t *testing.T) {
		p, _ := fakeNPM(t, map[string]string{"package/libchdb.so": "x"})
		p.size = 5
		_, err := p.get(t)
		check(t, err, "does not hold what it should")
	})
	t.Run("no npm", func(t *testing.T) {
		p, _ := fakeNPM(t, nil)
		t.Setenv("PATH", t.TempDir())
		_, err := p.get(t)
		check(t, err, "no npm on the PATH")
	})
	t.Run("npm fails", func(t *testing.T) {
		p, _ := fakeNPM(t, nil)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "npm"), []byte("#!/bin/sh\necho 'npm error code E404' >&2\necho more >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		_, err := p.get(t)
		check(t, err, "E404")
	})
	t.Run("own library missing", func(t *testing.T) {
		t.Setenv(LibraryEnv, filepath.Join(t.TempDir(), "libchdb.so"))
		_, err := FetchLibrary(t.Context(), nil)
		check(t, err, LibraryEnv)
	})
	t.Run("own library is a folder", func(t *testing.T) {
		t.Setenv(LibraryEnv, t.TempDir())
		_, err := FetchLibrary(t.Context(), nil)
		check(t, err, "is the folder")
	})
	if _, ok := libraryFor("plan9", "mips"); ok {
		t.Fatal("a library for plan9")
	}
}
