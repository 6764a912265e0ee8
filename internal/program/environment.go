package program

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Environment reads variables and collects what is wrong with them.
type Environment struct {
	Lookup func(string) (string, bool) // os.LookupEnv or like it
	// Bad keeps the program from starting, since it would do other than it was told.
	Bad []error
	// Ignored is about what the program tells of itself, without which it serves as well.
	Ignored []string
}

// What a variable was expected to be.
const (
	WantText     = "a value"
	WantPort     = "a port number from 1 to 65535"
	WantSeconds  = "a whole number of seconds"
	WantDuration = "a duration such as 30s"
	WantBool     = "true or false"
	WantPositive = "a positive number"
)

// Fail records what is wrong.
func (e *Environment) Fail(format string, args ...any) {
	e.Bad = append(e.Bad, fmt.Errorf(format, args...))
}

// Ignore records what of a variable can't be used, which err says, if it isn't nil.
func (e *Environment) Ignore(name string, err error) {
	if err != nil {
		e.Ignored = append(e.Ignored, name+" "+err.Error())
	}
}

// LeaveOut records the lines of an error about the parts of a variable that can be done without.
func (e *Environment) LeaveOut(prefix string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		e.Ignored = append(e.Ignored, prefix+line+"; it is left out")
	}
}

// Value returns a variable; an empty one is as good as none.
func (e *Environment) Value(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Present returns a variable that must be there but may be empty.
func (e *Environment) Present(name string) string {
	v, ok := e.Lookup(name)
	if !ok {
		e.Fail("%s is missing, it may be empty", name)
	}
	return v
}

// Required parses a variable that must have a value.
func Required[T any](e *Environment, name, want string, parse func(string) (T, error)) (t T) {
	if e.Value(name) == "" {
		state := "missing"
		if _, ok := e.Lookup(name); ok {
			state = "empty"
		}
		e.Fail("%s is %s, expected %s", name, state, want)
		return t
	}
	return Optional(e, name, want, parse)
}

// Optional parses a variable that may be missing or empty.
func Optional[T any](e *Environment, name, want string, parse func(string) (T, error)) T {
	t, bad := attempt(e, name, want, parse)
	if bad != nil {
		e.Bad = append(e.Bad, bad)
	}
	return t
}

// Lenient is Optional for what the program can do without.
func Lenient[T any](e *Environment, name, want string, parse func(string) (T, error)) T {
	t, bad := attempt(e, name, want, parse)
	if bad != nil {
		e.LeaveOut("", bad)
	}
	return t
}

// ServerPort is the port of a server that a variable names, 0 for none; without the variable fallback.
func ServerPort(e *Environment, name string, fallback int) int {
	if e.Value(name) == "" {
		return fallback
	}
	return Optional(e, name, WantPort+", or 0 for none", portOrNone)
}

// attempt parses a variable, and says what is wrong with one that is set.
func attempt[T any](e *Environment, name, want string, parse func(string) (T, error)) (t T, bad error) {
	v := e.Value(name)
	if v == "" {
		return t, nil
	}
	parsed, err := parse(v)
	if err != nil {
		return t, unexpected(name, v, want)
	}
	return parsed, nil
}

func unexpected(name, value, want string) error {
	if len(value) > 40 {
		value = value[:40] + "…"
	}
	return fmt.Errorf("%s is %q, expected %s", name, value, want)
}

// ErrRange is an error of a parser; what was expected is said besides.
var ErrRange = errors.New("out of range")

// Text is any value.
func Text(v string) (string, error) { return v, nil }

// Count is a number that may be 0.
func Count(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return int(n), err
}

// Positive is a number that may not.
func Positive(v string) (int, error) {
	n, err := Count(v)
	if n == 0 && err == nil {
		err = ErrRange
	}
	return n, err
}

func portOrNone(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	return int(n), err
}

// Port is that of a server.
func Port(v string) (int, error) {
	if _, err := Positive(v); err != nil {
		return 0, err
	}
	return portOrNone(v)
}

// Seconds is a whole number of them.
func Seconds(v string) (time.Duration, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return time.Duration(n) * time.Second, err
}

// Duration is a positive one, such as 30s.
func Duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = ErrRange
	}
	return d, err
}

// Host is a name or an IP address, without a port.
func Host(v string) (string, error) {
	if _, err := netip.ParseAddr(v); err != nil && strings.ContainsAny(v, ":[]/ ") {
		return "", ErrRange
	}
	return v, nil
}

// Prefixes are CIDRs with commas between them.
func Prefixes(v string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for s := range strings.SplitSeq(v, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
