package main

// What a process remembers about itself in its data folder: the instance name
// under which it is a static group member, and the keys that dev makes.

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookstream/hookstream/delivery/endpoint"
)

// instanceName is the configured name, or the host's name and an id kept in
// the data folder: the same after a restart, so that the process gets its
// partitions back at once, and another for another folder.
func instanceName(c *Config) (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "hookstream"
	}
	id, err := remember(c.Data, "instance", 4)
	if err != nil {
		return "", fmt.Errorf("keeping the instance id: %w", err)
	}
	return host + "-" + id, nil
}

// devKeys fills in the keys that the configuration leaves out.
func devKeys(c *Config) error {
	var err error
	if c.APIKey == "" {
		if c.APIKey, err = remember(c.Data, "api-key", 16); err != nil {
			return fmt.Errorf("keeping the API key: %w", err)
		}
		c.APIKey = "hk_dev_" + c.APIKey
	}
	if c.MasterKey == "" {
		if c.MasterKey, err = remember(c.Data, "master-key", endpoint.MasterKeyBytes); err != nil {
			return fmt.Errorf("keeping the master key: %w", err)
		}
	}
	return nil
}

// remember reads the hex text in dir/name, or makes one of n random bytes.
func remember(dir, name string, n int) (string, error) {
	path := filepath.Join(dir, name)
	for {
		b, err := os.ReadFile(path)
		if err == nil {
			if s := strings.TrimSpace(string(b)); len(s) == 2*n {
				return s, nil
			}
			return "", fmt.Errorf("%s does not hold %d hex characters; restore it, or remove it if nothing depends on it", path, 2*n)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		secret := make([]byte, n)
		if _, err := rand.Read(secret); err != nil {
			return "", err
		}
		if err := writeOnce(path, hex.EncodeToString(secret)); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}

// writeOnce makes a file whole or not at all, and leaves one that is there.
func writeOnce(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}
