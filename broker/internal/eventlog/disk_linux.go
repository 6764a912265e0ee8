package eventlog

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times of the file, which fsync would write too.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
