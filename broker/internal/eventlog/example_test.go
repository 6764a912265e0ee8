package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/sluice-proxy/sluice/broker/internal/eventlog"
)

func Example() {
	dir, err := os.MkdirTemp("", "eventlog")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	l, recovery, err := eventlog.Open(dir, eventlog.Config{MaxBytes: 1 << 30})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for _, p := range recovery.Problems {
		log.Print(p)
	}
	if _, err := l.Append(context.Background(), []byte("one"), []byte("two")); err != nil {
		log.Fatal(err)
	}
	for r := l.Reader(1); ; {
		seq, record, err := r.Next()
		if errors.Is(err, eventlog.ErrNotYet) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", seq, record)
	}
	// Output:
	// 1 one
	// 2 two
}
