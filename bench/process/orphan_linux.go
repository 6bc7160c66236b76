package process

import (
	"os/exec"
	"syscall"
)

// EndWithParent makes a command that is not started yet end when the process that
// starts it does, even if that is killed.
func EndWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
