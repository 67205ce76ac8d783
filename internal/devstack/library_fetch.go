package devstack

// Getting libchdb: npm pack, the checksum, unpacking.

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fetch leaves the library in dir. It works through files of dir that do not
// stay there.
func (p libraryPackage) fetch(ctx context.Context, dir string, progress io.Writer) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("the ClickHouse engine comes from npm, and there is no npm on the PATH; install it (Debian: apt-get install npm) or set %s to a libchdb of yours", LibraryEnv)
	}
	// npm keeps a cache of its own, which would hold these bytes for ever.
	work := filepath.Join(dir, "npm")
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("making a download folder: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // the caller removes or renames the folder around it
	meter := newMeter(progress, "fetching the ClickHouse engine (once)", p.packed)
	stop := meter.watch(func() int64 { return folderSize(work) })
	cmd := exec.CommandContext(ctx, npm, "pack", p.name+"@"+p.version,
		"--silent", "--ignore-scripts", "--pack-destination", work, "--cache", filepath.Join(work, "cache"))
	cmd.Dir = work // out of reach of a package.json or .npmrc where we were started
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err = cmd.Run()
	stop()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("npm pack %s@%s: %w %s (is the npm registry reachable? %s can name a libchdb of yours)",
			p.name, p.version, err, oneLine(stderr.String()), LibraryEnv)
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return fmt.Errorf("npm pack %s left %d files where one was expected", p.name, len(packed))
	}
	meter.say("checking and unpacking the ClickHouse engine (566 MB)")
	if err := p.check(packed[0]); err != nil {
		return err
	}
	return p.unpack(ctx, packed[0], filepath.Join(dir, p.file))
}

// check compares the packed file with the pinned checksum.
func (p libraryPackage) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the packed library: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("reading the packed library: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != p.integrity {
		return fmt.Errorf("%s@%s has checksum sha512-%s, not the pinned sha512-%s; it is not used (a changed package, or a registry in between that alters it)",
			p.name, p.version, got, p.integrity)
	}
	return nil
}

// unpack writes the library out of the packed file to path, through to the disk.
func (p libraryPackage) unpack(ctx context.Context, packed, path string) error {
	f, err := os.Open(packed)
	if err != nil {
		return fmt.Errorf("unpacking the library: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	zip, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return fmt.Errorf("unpacking the library: %w", err)
	}
	for files := tar.NewReader(zip); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("unpacking the library: %s@%s holds no %s", p.name, p.version, p.file)
		}
		if err != nil {
			return fmt.Errorf("unpacking the library: %w", err)
		}
		if head.Name != "package/"+p.file {
			continue
		}
		out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return fmt.Errorf("unpacking the library: %w", err)
		}
		_, err = io.Copy(out, interruptible{ctx, files})
		if err == nil {
			err = out.Sync()
		}
		if closing := out.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return fmt.Errorf("unpacking the library (it needs 566 MB of disk): %w", err)
		}
		return nil
	}
}

// interruptible stops a long copy when its context ends.
type interruptible struct {
	ctx context.Context //nolint:containedctx // lives for one io.Copy
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// folderSize is the sum of the files under dir, as far as they can be seen
// while another program writes them.
func folderSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went away meanwhile
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// oneLine flattens a program's output for an error.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}

// meter shows how far a download is: one line that is rewritten on a terminal,
// a new line every tenth elsewhere.
type meter struct {
	out      io.Writer
	what     string
	total    int64
	terminal bool
	tenth    int64
}

func newMeter(out io.Writer, what string, total int64) *meter {
	m := &meter{out: out, what: what, total: total, tenth: -1}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		m.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return m
}

// watch shows size until the returned function is called, which returns once
// nothing is shown any more.
func (m *meter) watch(size func() int64) (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			m.show(min(size(), m.total))
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-gone
		if m.terminal {
			fmt.Fprintln(m.out)
		}
	}
}

func (m *meter) show(n int64) {
	tenth := n * 10 / m.total
	switch {
	case m.terminal:
		fmt.Fprintf(m.out, "\r%s: %d of %d MB", m.what, n/1e6, m.total/1e6)
	case tenth > m.tenth:
		m.tenth = tenth
		fmt.Fprintf(m.out, "%s: %d of %d MB\n", m.what, n/1e6, m.total/1e6)
	}
}

func (m *meter) say(line string) { fmt.Fprintln(m.out, line) }
