package podlog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, l *Log, o Options) string {
	t.Helper()
	text, err := io.ReadAll(l.Open(t.Context(), o))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsRead(t *testing.T) {
	var l Log
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	l.Began()
	l.Add(at, "old 1")
	l.Add(at, "old 2")
	l.Began()
	for i := range 4 {
		l.Add(at.Add(time.Duration(i)*time.Second), fmt.Sprint(i))
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Tail: -1}, "0\n1\n2\n3\n"},
		{Options{Tail: 2}, "2\n3\n"},
		{Options{Tail: 9}, "0\n1\n2\n3\n"},
		{Options{}, ""},
		{Options{Tail: -1, Previous: true}, "old 1\nold 2\n"},
		{Options{Tail: 1, Previous: true}, "old 2\n"},
		{Options{Tail: -1, Since: at.Add(2 * time.Second)}, "2\n3\n"},
		{Options{Tail: -1, LimitBytes: 3}, "0\n1"},
		{Options{Tail: 1, Timestamps: true}, "2026-01-02T03:04:08.000000006Z 3\n"},
	} {
		if got := read(t, &l, c.o); got != c.want {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
}

func TestFollow(t *testing.T) {
	var l Log
	l.Add(time.Now(), "before")
	r := l.Open(t.Context(), Options{Tail: -1, Follow: true})
	defer r.Close()
	in := bufio.NewReader(r)
	for i, want := range []string{"before", "during", "after a restart"} {
		if i == 2 {
			l.Began()
		}
		if i > 0 {
			go l.Add(time.Now(), want)
		}
		if got, err := in.ReadString('\n'); got != want+"\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	go func() { l.Add(time.Now(), "last"); l.Close() }()
	if rest, err := io.ReadAll(in); string(rest) != "last\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	var l Log
	ctx, cancel := context.WithCancel(t.Context())
	r := l.Open(ctx, Options{Tail: -1, Follow: true})
	go cancel()
	if text, err := io.ReadAll(r); len(text) > 0 || err != nil {
		t.Error(text, err)
	}
}

func TestOldLinesGo(t *testing.T) {
	var l Log
	r := l.Open(t.Context(), Options{Tail: -1})
	for i := range 10_000 {
		l.Add(time.Now(), fmt.Sprintf("%0100d", i))
	}
	for _, text := range []string{read(t, &l, Options{Tail: -1}), func() string { b, _ := io.ReadAll(r); return string(b) }()} {
		if len(text) > maxSize || len(text) < maxSize/2 || !strings.HasSuffix(text, "9999\n") {
			t.Errorf("%d bytes", len(text))
		}
	}
}
