package program

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Environment reads variables and collects errors about them.
type Environment struct {
	Lookup func(string) (string, bool) // os.LookupEnv or like it
	// Bad has the errors that must keep the program from starting.
	Bad []error
	// Ignored has warnings about logs, metrics and traces, without which the program serves.
	Ignored []string
}

// Descriptions of values for error messages.
const (
	WantText     = "a value"
	WantPort     = "a port number from 1 to 65535"
	WantSeconds  = "a whole number of seconds"
	WantDuration = "a duration such as 30s"
	WantBool     = "true or false"
	WantPositive = "a positive number"
)

// Fail adds an error to Bad.
func (e *Environment) Fail(format string, args ...any) {
	e.Bad = append(e.Bad, fmt.Errorf(format, args...))
}

// Ignore adds err, about a part of a variable that can't be used, to Ignored, unless err is nil.
func (e *Environment) Ignore(name string, err error) {
	if err != nil {
		e.Ignored = append(e.Ignored, name+" "+err.Error())
	}
}

// LeaveOut adds each line of err to Ignored: each is about a setting without which the program serves.
func (e *Environment) LeaveOut(prefix string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		e.Ignored = append(e.Ignored, prefix+line+"; this setting is ignored")
	}
}

// Value returns a variable, or "" if it is not set.
func (e *Environment) Value(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Present returns a variable that must be there but may be empty.
func (e *Environment) Present(name string) string {
	v, ok := e.Lookup(name)
	if !ok {
		e.Fail("%s is missing; it may be empty", name)
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
	t, bad := parseValue(e, name, want, parse)
	if bad != nil {
		e.Bad = append(e.Bad, bad)
	}
	return t
}

// Lenient is Optional, except that an error goes to Ignored.
func Lenient[T any](e *Environment, name, want string, parse func(string) (T, error)) T {
	t, bad := parseValue(e, name, want, parse)
	if bad != nil {
		e.LeaveOut("", bad)
	}
	return t
}

// ServerPort parses the port of a server, 0 for none. If the variable is not set or empty it returns fallback.
func ServerPort(e *Environment, name string, fallback int) int {
	if e.Value(name) == "" {
		return fallback
	}
	return Optional(e, name, WantPort+", or 0 for none", portOrNone)
}

// parseValue parses a variable. It returns the zero value for one that is not set or empty.
func parseValue[T any](e *Environment, name, want string, parse func(string) (T, error)) (t T, bad error) {
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

// ErrRange is the error of parsers for values out of range. The message that users see names the expected values.
var ErrRange = errors.New("out of range")

// Text returns v.
func Text(v string) (string, error) { return v, nil }

// Count parses a number that may be 0.
func Count(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return int(n), err
}

// Positive parses a number that is not 0.
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

// Port parses the port of a server.
func Port(v string) (int, error) {
	if _, err := Positive(v); err != nil {
		return 0, err
	}
	return portOrNone(v)
}

// Seconds parses a whole number of seconds.
func Seconds(v string) (time.Duration, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return time.Duration(n) * time.Second, err
}

// Duration parses a positive duration such as 30s.
func Duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = ErrRange
	}
	return d, err
}

// Host parses a host name or an IP address, without a port.
func Host(v string) (string, error) {
	if _, err := netip.ParseAddr(v); err != nil && strings.ContainsAny(v, ":[]/ ") {
		return "", ErrRange
	}
	return v, nil
}

// Prefixes parses CIDRs with commas between them.
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
