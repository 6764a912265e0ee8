package main

import (
	"fmt"
	"strconv"
	"time"
)

// environment reads variables and keeps what is wrong with them.
type environment struct {
	lookup func(string) (string, bool)
	errs   []error
}

func (e *environment) fail(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}

func (e *environment) text(name, missing string) string {
	if v, _ := e.lookup(name); v != "" {
		return v
	}
	return missing
}

func (e *environment) count(name string) int {
	v, _ := e.lookup(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n <= 0 {
		e.fail("%s=%q is not a positive number", name, v)
		return 0
	}
	return n
}

func (e *environment) truth(name string) bool {
	v, _ := e.lookup(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		e.fail("%s=%q is neither true nor false", name, v)
	}
	return b
}

func (e *environment) port(name string, missing int) int {
	v, _ := e.lookup(name)
	if v == "" {
		return missing
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		e.fail("%s=%q is not a port", name, v)
	}
	return int(n)
}

func (e *environment) duration(name string) time.Duration {
	v, _ := e.lookup(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		e.fail("%s=%q is not a positive duration such as 300ms", name, v)
		return 0
	}
	return d
}
