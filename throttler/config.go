package throttler

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of Config and RevisionConfig. The bounds on waiting are the wire contract's; the steps of ejection are
// those of a client that can afford one lost dial in ten seconds.
const (
	defaultMaxWaiting         = 20_000
	defaultMaxWaitingBytes    = 256 << 20
	defaultRevisionMaxWaiting = 10_000
)

var (
	defaultEject   = Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}
	defaultDecline = Backoff{First: 50 * time.Millisecond, Max: time.Second}
)

// Config bounds what waits over all revisions. The zero value is the default.
type Config struct {
	// MaxWaiting bounds the requests that wait in all (0: 20 000), and MaxWaitingBytes what they hold, by Demand.Bytes (0:
	// 256 MiB). A revision or a client may have no more of either than is free, which is half while it is alone, and the last
	// eighth is for those that have next to nothing: a flood leaves room for every other revision's first requests.
	MaxWaiting      int
	MaxWaitingBytes int64
	Eject           Backoff // of a pod that can't be dialled; zero fields: 100 ms, 10 s
	Decline         Backoff // of a pod that was busy; zero fields: 50 ms, 1 s
}

// Validate reports, joined, every field that can't be used.
func (c Config) Validate() error {
	var errs []error
	if c.MaxWaiting < 0 {
		errs = append(errs, fmt.Errorf("throttler: MaxWaiting %d is negative", c.MaxWaiting))
	}
	if c.MaxWaitingBytes < 0 {
		errs = append(errs, fmt.Errorf("throttler: MaxWaitingBytes %d is negative", c.MaxWaitingBytes))
	}
	errs = append(errs, c.Eject.or(defaultEject).validate("Eject"), c.Decline.or(defaultDecline).validate("Decline"))
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.MaxWaiting == 0 {
		c.MaxWaiting = defaultMaxWaiting
	}
	if c.MaxWaitingBytes == 0 {
		c.MaxWaitingBytes = defaultMaxWaitingBytes
	}
	c.Eject = c.Eject.or(defaultEject)
	c.Decline = c.Decline.or(defaultDecline)
	return c
}

// RevisionConfig is what a revision may set for itself. The zero value is the default.
type RevisionConfig struct {
	MaxWaiting int  // requests that wait; 0: 10 000, less than 0: none may
	Pick       Pick // one that is not known is taken as PickAuto
}

// Validate reports a field that can't be used.
func (c RevisionConfig) Validate() error {
	if c.Pick > PickRoundRobin {
		return fmt.Errorf("throttler: unknown Pick %d", c.Pick)
	}
	return nil
}

func (c RevisionConfig) withDefaults() RevisionConfig {
	if c.MaxWaiting == 0 {
		c.MaxWaiting = defaultRevisionMaxWaiting
	}
	if c.Pick > PickRoundRobin {
		c.Pick = PickAuto
	}
	return c
}

// Backoff is a pause that doubles with each failure in a row, from First to Max. The pause taken is between three quarters
// of that and all of it, so that several activators don't come back at the same moment.
type Backoff struct{ First, Max time.Duration }

func (b Backoff) or(other Backoff) Backoff {
	if b.First == 0 {
		b.First = other.First
	}
	if b.Max == 0 {
		b.Max = max(other.Max, b.First)
	}
	return b
}

func (b Backoff) validate(name string) error {
	if b.First < 0 || b.Max < b.First {
		return fmt.Errorf("throttler: %s: First %v, Max %v: neither may be negative, nor First more than Max", name, b.First, b.Max)
	}
	return nil
}

// after is the pause after n failures in a row, n ≥ 1. roll(k) is a random number below k.
func (b Backoff) after(n uint8, roll func(k int) int) time.Duration {
	d := b.First
	for ; n > 1 && d < b.Max; n-- {
		d *= 2
	}
	d = min(d, b.Max)
	return d - time.Duration(roll(int(d/4)+1))
}
