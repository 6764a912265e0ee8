//go:build !linux

package procs

func follower() {}
