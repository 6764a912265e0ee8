package limits

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Count is a positive number.
type Count int

// Set implements flag.Value.
func (c *Count) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n <= 0 {
		return errors.New("a positive number")
	}
	*c = Count(n)
	return nil
}

// String implements flag.Value.
func (c *Count) String() string {
	if c == nil {
		return "" // package flag calls String on a zero value
	}
	return strconv.Itoa(int(*c))
}

// Size is a number of bytes, which may have a unit as in Kubernetes (64Mi) or in Go (64MiB).
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}}

// Set implements flag.Value.
func (s *Size) Set(text string) error {
	unit := int64(1)
	digits := text
	for _, u := range units {
		if d, ok := strings.CutSuffix(strings.TrimSuffix(text, "B"), u.name); ok {
			digits, unit = d, u.bytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return errors.New("a positive number of bytes, such as 65536 or 64Ki")
	}
	*s = Size(n * unit)
	return nil
}

// String implements flag.Value.
func (s *Size) String() string {
	if s == nil {
		return ""
	}
	for _, u := range units {
		if n := int64(*s); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Prefixes are comma-separated CIDRs.
type Prefixes []netip.Prefix

// Set implements flag.Value.
func (p *Prefixes) Set(text string) error {
	*p = nil
	for s := range strings.SplitSeq(text, ",") {
		one, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return errors.New("comma-separated CIDRs such as 10.0.0.0/8")
		}
		*p = append(*p, one.Masked())
	}
	return nil
}

// String implements flag.Value.
func (p *Prefixes) String() string {
	if p == nil {
		return ""
	}
	var all []string
	for _, one := range *p {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}
