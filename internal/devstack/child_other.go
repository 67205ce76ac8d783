//go:build !linux

package devstack

// How a child process is tied to its parent elsewhere: not by the kernel.

import "syscall"

// childAttributes leave the defaults: the child of a parent that died is ended
// by its closed standard input, where it watches that.
func childAttributes() *syscall.SysProcAttr { return nil }
