package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a := Config{Data: dir}
	if err := devKeys(&a); err != nil {
		t.Fatal(err)
	}
	name, err := instanceName(&a)
	if err != nil {
		t.Fatal(err)
	}
	b := Config{Data: dir}
	if err := devKeys(&b); err != nil {
		t.Fatal(err)
	}
	again, err := instanceName(&b)
	if err != nil {
		t.Fatal(err)
	}
	if a.APIKey != b.APIKey || a.MasterKey != b.MasterKey || name != again {
		t.Errorf("changed by a restart: %+v %q, %+v %q", a, name, b, again)
	}
	other := Config{Data: t.TempDir()}
	if otherName, err := instanceName(&other); err != nil || otherName == name {
		t.Errorf("another folder has the name %q, %v", otherName, err)
	}
	info, err := os.Stat(filepath.Join(dir, "master-key"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the master key is readable for others: %v %v", info.Mode(), err)
	}
	given := Config{Data: dir, APIKey: "mine", MasterKey: "x", Instance: "n"}
	if err := devKeys(&given); err != nil || given.APIKey != "mine" || given.MasterKey != "x" {
		t.Errorf("given keys were changed: %+v %v", given, err)
	}
}

func TestIdentityRefusesABrokenFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "master-key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := devKeys(&Config{Data: dir}); err == nil || !strings.Contains(err.Error(), "master-key") {
		t.Errorf("got %v", err)
	}
}
