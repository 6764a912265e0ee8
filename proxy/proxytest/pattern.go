package proxytest

import (
	"bytes"
	"io"
	"sync"
)

// period of the pattern: a prime, so that a block that was lost or doubled shifts what follows.
const period = 251

// patternTable is the pattern for long enough to take 32 KiB from any place of its first period.
var patternTable = sync.OnceValue(func() []byte {
	b := make([]byte, 32<<10+period)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
})

// pattern is an endless body whose bytes tell where they belong.
type pattern struct{ at int }

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), 32<<10)], patternTable()[p.at:])
	p.at = (p.at + n) % period
	return n, nil
}

func limited(n int64) io.Reader { return io.LimitReader(new(pattern), n) }

// same checks that r is what limited(n) gives.
func same(r io.Reader, n int64) (total int64, ok bool) {
	buf, at := make([]byte, 32<<10), 0
	for {
		k, err := r.Read(buf)
		total += int64(k)
		if !bytes.Equal(buf[:k], patternTable()[at:at+k]) {
			return total, false
		}
		at = (at + k) % period
		if err != nil {
			return total, err == io.EOF && total == n
		}
	}
}
