package payload_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/sluice-proxy/sluice/e2e/cluster/payload"
)

func TestReaderIsTheSameEachTime(t *testing.T) {
	const n = 200_003
	first, err := io.ReadAll(payload.NewReader(n))
	if err != nil {
		t.Fatal(err)
	}
	length, sum, err := payload.Sum(payload.NewReader(n))
	if err != nil || len(first) != n || length != n {
		t.Fatalf("%d and %d bytes (%v), want %d", len(first), length, err, n)
	}
	if _, again, _ := payload.Sum(bytes.NewReader(first)); again != sum {
		t.Errorf("sums %08x and %08x of the same bytes", again, sum)
	}
}

func TestSumTellsBlocksApart(t *testing.T) {
	all, err := io.ReadAll(payload.NewReader(3 << 16))
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := payload.Sum(bytes.NewReader(all))
	swapped := append(bytes.Clone(all[1<<16:2<<16]), append(bytes.Clone(all[:1<<16]), all[2<<16:]...)...)
	if _, got, _ := payload.Sum(bytes.NewReader(swapped)); got == want {
		t.Error("two blocks swapped give the same sum")
	}
}
