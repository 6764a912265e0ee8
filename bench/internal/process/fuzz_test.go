package process

import "testing"

// No content of /proc causes a panic or a negative figure.
func FuzzProc(f *testing.F) {
	f.Add([]byte("17 (a (b) c) S 1 4242 4242 0 -1 4194560 100 0 0 0 37 5 900 900 20 0 1 0 100 1000 10\n"))
	f.Add([]byte("Name:\tx\nVmRSS:\t    5128 kB\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, cpu, err := parseStat(text)
		if cpu < 0 || err != nil && cpu != 0 {
			t.Errorf("%v with %v", cpu, err)
		}
		if n := parseResident(text); n < 0 {
			t.Errorf("%d bytes", n)
		}
	})
}
