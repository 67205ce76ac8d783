package devstack

// How a child process is tied to its parent on Linux.

import "syscall"

// childAttributes have the kernel kill the child when its parent dies, however
// it dies. The child stays in the parent's process group.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
