package sidecar

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/queueproxy"
)

// env reads variables and collects what is wrong with them: bad keeps the pod from starting, since it would serve other
// than it was told; ignored is about what the pod tells of itself, without which it serves as well.
type env struct {
	lookup  func(string) (string, bool)
	bad     []error
	ignored []string
}

// What a variable was expected to be.
const (
	wantText     = "a value"
	wantPort     = "a port number from 1 to 65535"
	wantSeconds  = "a whole number of seconds"
	wantDuration = "a duration such as 30s"
	wantBool     = "true or false"
)

func (e *env) fail(format string, args ...any) { e.bad = append(e.bad, fmt.Errorf(format, args...)) }

// ignore records what of a variable can't be used, which err says, if it isn't nil.
func (e *env) ignore(name string, err error) {
	if err != nil {
		e.ignored = append(e.ignored, name+" "+err.Error())
	}
}

// value returns a variable; an empty one is as good as none.
func (e *env) value(name string) string {
	v, _ := e.lookup(name)
	return v
}

// present returns a variable that must be there but may be empty.
func (e *env) present(name string) string {
	v, ok := e.lookup(name)
	if !ok {
		e.fail("%s is missing, it may be empty", name)
	}
	return v
}

// required parses a variable that must have a value.
func required[T any](e *env, name, want string, parse func(string) (T, error)) (t T) {
	if e.value(name) == "" {
		state := "missing"
		if _, ok := e.lookup(name); ok {
			state = "empty"
		}
		e.fail("%s is %s, expected %s", name, state, want)
		return t
	}
	return optional(e, name, want, parse)
}

// optional parses a variable that may be missing or empty.
func optional[T any](e *env, name, want string, parse func(string) (T, error)) T {
	t, bad := attempt(e, name, want, parse)
	if bad != nil {
		e.bad = append(e.bad, bad)
	}
	return t
}

// lenient is optional for what a pod can serve without.
func lenient[T any](e *env, name, want string, parse func(string) (T, error)) T {
	t, bad := attempt(e, name, want, parse)
	if bad != nil {
		e.leaveOut("", bad)
	}
	return t
}

// attempt parses a variable, and says what is wrong with one that is set.
func attempt[T any](e *env, name, want string, parse func(string) (T, error)) (t T, bad error) {
	v := e.value(name)
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

var errRange = errors.New("out of range")

func parseText(v string) (string, error) { return v, nil }

func parseCount(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return int(n), err
}

func parsePortOrNone(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	return int(n), err
}

func parsePort(v string) (int, error) {
	n, err := parsePortOrNone(v)
	if n == 0 && err == nil {
		err = errRange
	}
	return n, err
}

func parseSeconds(v string) (time.Duration, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	return time.Duration(n) * time.Second, err
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = errRange
	}
	return d, err
}

func parseFullStatus(v string) (int, error) {
	for _, status := range queueproxy.FullStatuses() {
		if v == strconv.Itoa(status) {
			return status, nil
		}
	}
	return 0, errRange
}

func parseHost(v string) (string, error) {
	if _, err := netip.ParseAddr(v); err != nil && strings.ContainsAny(v, ":[]/ ") {
		return "", errRange
	}
	return v, nil
}

func parsePrefixes(v string) ([]netip.Prefix, error) {
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
