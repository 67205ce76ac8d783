package main

// Sessions of a node: what their cookies are signed with.

import (
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/delivery/endpoint"
)

// TestSessionsFollowTheMasterKeysBytes: nodes that write one master key in
// different ways take each other's sessions; other keys make other secrets.
func TestSessionsFollowTheMasterKeysBytes(t *testing.T) {
	first, second := endpoint.NewMasterKey(), endpoint.NewMasterKey()
	raw, err := hex.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	secrets := func(keys string) [][]byte {
		t.Helper()
		n := &node{cfg: &Config{MasterKey: keys}}
		c, err := n.sessions()
		if err != nil {
			t.Fatal(err)
		}
		return c.Secrets
	}
	want := secrets(first + "," + second)
	if len(want) != 2 || len(want[0]) < 32 || reflect.DeepEqual(want[0], want[1]) {
		t.Fatal("two master keys do not make two secrets")
	}
	for _, form := range []string{strings.ToUpper(first), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		if got := secrets(" " + form + " , " + second); !reflect.DeepEqual(got, want) {
			t.Errorf("another spelling makes other secrets")
		}
	}
	if got := secrets(second + "," + first); !reflect.DeepEqual(got, [][]byte{want[1], want[0]}) {
		t.Error("the order of the keys is not that of the secrets")
	}
}

// TestNoSessionsWithoutMasterKey: a process that serves no API has no master
// key, and no sessions that would be signed with one that everybody can derive.
func TestNoSessionsWithoutMasterKey(t *testing.T) {
	n := &node{cfg: &Config{}}
	if c, err := n.sessions(); c != nil || err != nil {
		t.Errorf("%v %v", c, err)
	}
}
