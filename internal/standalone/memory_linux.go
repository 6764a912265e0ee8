package standalone

import "golang.org/x/sys/unix"

// memory of the machine in bytes; 0: not known.
func memory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
