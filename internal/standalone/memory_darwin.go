package standalone

import "golang.org/x/sys/unix"

// memory of the machine in bytes; 0: not known.
func memory() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
