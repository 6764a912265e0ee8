package activator

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func addrOf(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(10<<24+i))
	return netip.AddrFrom4(b)
}

func TestReviewsAreBounded(t *testing.T) {
	now := time.Now()
	let := func(r *reviews, n int, at time.Time, addr func(i int) netip.Addr, end bool) (in int) {
		for i := range n {
			if r.begin(addr(i), at) {
				in++
				if end {
					r.end()
				}
			}
		}
		return in
	}
	one := func(int) netip.Addr { return addrOf(1) }
	other := func(int) netip.Addr { return addrOf(2) }

	var r reviews
	if n := let(&r, 100, now, one, true); n != 8 {
		t.Errorf("%d of one address in a second", n)
	}
	if n := let(&r, 100, now.Add(999*time.Millisecond), other, true); n != 8 {
		t.Errorf("%d of another", n)
	}
	if n := let(&r, 100, now.Add(time.Second), one, true); n != 8 {
		t.Errorf("%d in the next second", n)
	}

	r = reviews{}
	if n := let(&r, 10_000, now, addrOf, true); n != 100 || len(r.of) > 100 {
		t.Errorf("%d of all addresses in a second, %d are remembered", n, len(r.of))
	}
	if n := let(&r, 100, now.Add(time.Second), addrOf, false); n != 16 {
		t.Errorf("%d at once", n)
	}
	if n := let(&r, 100, now.Add(2*time.Second), addrOf, false); n != 0 {
		t.Errorf("%d more while those go on", n)
	}
	r.end()
	if n := let(&r, 100, now.Add(2*time.Second), addrOf, false); n != 1 {
		t.Errorf("%d after one has ended", n)
	}
}

// What has been said of a token holds for some seconds, and costs no second question.
func TestC10ReviewsAreRemembered(t *testing.T) {
	var r reviews
	now := time.Now()
	id := PodIdentity{Namespace: "default", Name: "pod", UID: "uid-1"}
	if _, _, ok := r.recall("good", now); ok {
		t.Error("known from the beginning")
	}
	r.remember("good", id, nil, now)
	r.remember("bad", PodIdentity{}, ErrUnproven, now)
	for _, c := range []struct {
		token string
		at    time.Duration
		known bool
	}{
		{"good", proven - 1, true},
		{"good", proven, false},
		{"bad", unproven - 1, true},
		{"bad", unproven, false},
		{"other", 0, false},
	} {
		got, err, ok := r.recall(c.token, now.Add(c.at))
		if ok != c.known || ok && (err == nil) != (c.token == "good") || ok && err == nil && got != id {
			t.Errorf("%s after %v: %v %v %v", c.token, c.at, got, err, ok)
		}
	}
	for i := range 3 * maxReviewed {
		r.remember(addrOf(i).String(), id, nil, now)
	}
	if n := len(r.known); n != maxReviewed {
		t.Errorf("%d are remembered", n)
	}
	last := addrOf(3*maxReviewed - 1).String()
	if _, _, ok := r.recall(last, now); !ok {
		t.Error("the latest is forgotten")
	}
}
