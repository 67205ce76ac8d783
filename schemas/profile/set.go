package profile

// Set holds the profiles of one installation: the built-in ones and those of
// a folder.

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Set finds profiles by name. It is read-only and safe for concurrent use.
type Set struct {
	profiles map[string][]*Profile // newest version first
}

// Builtin is the set of the built-in profiles alone.
func Builtin() (*Set, error) {
	s := &Set{profiles: map[string][]*Profile{}}
	files, err := builtin.ReadDir("builtin")
	if err != nil {
		return nil, fmt.Errorf("listing built-in profiles: %w", err)
	}
	for _, f := range files {
		text, err := builtin.ReadFile(path.Join("builtin", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading built-in profile %s: %w", f.Name(), err)
		}
		if err := s.add(f.Name(), text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Load is the built-in set plus every .yaml, .yml and .json file of a folder;
// an empty dir adds nothing. A broken file refuses the whole set: the error
// says file, line and reason. A folder may hold several versions of one
// profile, in files of their own, so that deliveries that were fanned out
// under the older one keep their body; a built-in profile is replaced by a
// higher version, never silently by the same one.
func Load(dir string) (*Set, error) {
	s, err := Builtin()
	if err != nil || dir == "" {
		return s, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing profiles: %w", err)
	}
	for _, f := range files {
		if !isProfileFile(f) {
			continue
		}
		name := filepath.Join(dir, f.Name())
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading profile: %w", err)
		}
		if filepath.Ext(name) == ".json" {
			// JSON allows tabs between tokens and nowhere else; YAML's reader, which
			// gives us the line numbers, does not take them there.
			text = bytes.ReplaceAll(text, []byte{'\t'}, []byte{' '})
		}
		if err := s.add(name, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func isProfileFile(f fs.DirEntry) bool {
	switch filepath.Ext(f.Name()) {
	case ".yaml", ".yml", ".json":
		return !f.IsDir() && !strings.HasPrefix(f.Name(), ".")
	}
	return false
}

func (s *Set) add(file string, text []byte) error {
	p, err := parse(file, text)
	if err != nil {
		return err
	}
	versions := s.profiles[p.name]
	for _, other := range versions {
		if other.version == p.version {
			return fmt.Errorf("%s: profile %s version %d is also in %s; give the newer one a higher version", file, p.name, p.version, other.file)
		}
	}
	versions = append(versions, p)
	slices.SortFunc(versions, func(a, b *Profile) int { return b.version - a.version })
	s.profiles[p.name] = versions
	return nil
}

// Get is the newest version of a profile.
func (s *Set) Get(name string) (*Profile, bool) {
	versions := s.profiles[name]
	if len(versions) == 0 {
		return nil, false
	}
	return versions[0], true
}

// At is one version of a profile: what a delivery was fanned out under. When
// that version is no longer there the newest stands in for it, because a
// delivery with another body is better than none; zero asks for the newest.
func (s *Set) At(name string, version int) (*Profile, bool) {
	for _, p := range s.profiles[name] {
		if p.version == version {
			return p, true
		}
	}
	return s.Get(name)
}

// Names lists the profiles in alphabetical order.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.profiles))
	for name := range s.profiles {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
