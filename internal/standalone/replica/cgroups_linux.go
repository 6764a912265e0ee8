package replica

import (
	"os"
	"syscall"
)

// beginIn has a process begin in the cgroup of version 2 whose directory is dir, so that all it does is limited.
func beginIn(attr *syscall.SysProcAttr, dir *os.File) {
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
}
