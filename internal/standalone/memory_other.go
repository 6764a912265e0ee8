//go:build !linux && !darwin

package standalone

// memory of the machine in bytes; 0: not known.
func memory() uint64 { return 0 }
