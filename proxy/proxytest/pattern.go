package proxytest

import (
	"bytes"
	"io"
	"sync"
)

// period is the period of the pattern. It is a prime, so that a lost or doubled block shifts the following bytes.
const period = 251

// patternTable is long enough for 32 KiB from any position in the first period of the pattern.
var patternTable = sync.OnceValue(func() []byte {
	b := make([]byte, 32<<10+period)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
})

// pattern is an endless body whose bytes show their position.
type pattern struct{ at int }

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), 32<<10)], patternTable()[p.at:])
	p.at = (p.at + n) % period
	return n, nil
}

func limited(n int64) io.Reader { return io.LimitReader(new(pattern), n) }

// same checks that r has the bytes of limited(n).
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
