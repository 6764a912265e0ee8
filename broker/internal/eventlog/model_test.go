package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// model is what a log on a memDisk should have.
type model struct {
	t      *rapid.T
	random *rand.Rand
	config Config
	disk   *memDisk
	log    *Log
	count  int

	first, next uint64 // of what was acknowledged, or found after a crash
	records     map[uint64][]byte
	trimmed     uint64
	// Batches that were not acknowledged, and may be found after a crash: all of one, at next.
	open [][][]byte
}

func (m *model) batch() [][]byte {
	batch := make([][]byte, rapid.IntRange(1, 4).Draw(m.t, "records"))
	for i := range batch {
		m.count++
		batch[i] = fmt.Appendf(nil, "%d:", m.count)
		batch[i] = append(batch[i], bytes.Repeat([]byte{byte(m.count)}, rapid.IntRange(0, 700).Draw(m.t, "size"))...)
	}
	return batch
}

func (m *model) acknowledged(first uint64, batch [][]byte) {
	if first != m.next {
		m.t.Fatalf("Append = %d, want %d", first, m.next)
	}
	for i, r := range batch {
		m.records[first+uint64(i)] = r
	}
	m.next += uint64(len(batch))
	// What has failed before can't come back.
	m.open = nil
}

func (m *model) append() {
	batch := m.batch()
	first, err := m.log.Append(context.Background(), batch...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.acknowledged(first, batch)
}

// appendFails appends while an operation of the disk fails.
func (m *model) appendFails() {
	op := rapid.SampledFrom([]string{"write", "sync", "create", "rename", "syncdir"}).Draw(m.t, "op")
	nth := rapid.IntRange(0, 2).Draw(m.t, "nth")
	truncate := rapid.Bool().Draw(m.t, "truncate fails")
	failure := rapid.SampledFrom([]error{errPartial, errors.New("input/output error")}).Draw(m.t, "error")
	m.disk.fail(func(o, _ string) error {
		if o == "truncate" && truncate {
			return failure
		}
		if o != op {
			return nil
		}
		if nth--; nth >= 0 {
			return nil
		}
		return failure
	})
	defer m.disk.fail(nil)
	for range 3 {
		batch := m.batch()
		first, err := m.log.Append(context.Background(), batch...)
		if err != nil {
			m.open = append(m.open, batch)
		} else {
			m.acknowledged(first, batch)
		}
		m.check()
	}
}

// crash opens the log as it is after a kill or a power failure during an append.
func (m *model) crash() {
	power := rapid.Bool().Draw(m.t, "power failure")
	nth := rapid.IntRange(0, 6).Draw(m.t, "operation")
	var left *memDisk
	m.disk.fail(func(op, _ string) error {
		if op == "remove" { // comes when it wants
			return nil
		}
		if nth--; nth < 0 && left == nil {
			left = m.disk.after(power, m.random)
		}
		return nil
	})
	var batches [][][]byte
	for range 3 {
		before := left == nil
		batch := m.batch()
		first, err := m.log.Append(context.Background(), batch...)
		if err != nil {
			m.t.Fatal(err)
		}
		if left == nil {
			m.acknowledged(first, batch)
		} else if before {
			batches = append(batches, batch) // was begun when the disk was like this
		}
	}
	m.disk.fail(nil)
	if left == nil {
		left = m.disk.after(power, m.random)
	}
	m.open = append(m.open, batches...)
	m.close()
	m.disk = left
	m.reopen(true)
}

func (m *model) restart() {
	m.close()
	m.reopen(false)
}

func (m *model) close() {
	if err := m.log.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) reopen(crashed bool) {
	l, r, err := open(m.disk, io.NopCloser(nil), m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	m.log = l
	if r.Corrupt > 0 {
		m.t.Fatalf("Recovery = %+v", r)
	}
	first, next := l.Bounds()
	if next < m.next {
		m.t.Fatalf("the next record is %d after a crash, %d were acknowledged", next, m.next-1)
	}
	if !crashed && len(m.open) == 0 && next != m.next {
		m.t.Fatalf("the next record is %d, want %d", next, m.next)
	}
	m.first = first
	// What is new is one of the batches that were not acknowledged.
	if next > m.next {
		m.found(next)
	}
	m.open = nil
	m.check()
}

func (m *model) found(next uint64) {
	for _, batch := range m.open {
		if uint64(len(batch)) != next-m.next {
			continue
		}
		same := true
		for i, r := range batch {
			got, err := m.log.Read(m.next+uint64(i), nil)
			same = same && err == nil && bytes.Equal(got, r)
		}
		if same {
			for i, r := range batch {
				m.records[m.next+uint64(i)] = r
			}
			m.next = next
			return
		}
	}
	m.t.Fatalf("records %d to %d are none that were appended together", m.next, next-1)
}

func (m *model) trim() {
	m.trimmed = max(m.trimmed, rapid.Uint64Range(0, m.next).Draw(m.t, "trim"))
	m.log.TrimTo(m.trimmed)
}

func (m *model) check() {
	first, next := m.log.Bounds()
	if next != m.next || first > max(m.trimmed, m.first) {
		m.t.Fatalf("Bounds = %d, %d, want at most %d, and %d", first, next, m.trimmed, m.next)
	}
	r := m.log.Reader(first)
	seen := uint64(0)
	for {
		seq, record, err := r.Next()
		if errors.Is(err, ErrNotYet) {
			break
		}
		if err != nil || !bytes.Equal(record, m.records[seq]) {
			m.t.Fatalf("Next = %d, %.20q, %v, want %.20q", seq, record, err, m.records[seq])
		}
		seen++
	}
	skipped := r.Skipped()
	if skipped.Corrupt > 0 || seen+skipped.Trimmed != next-first {
		m.t.Fatalf("%d records of %d to %d were read, %+v skipped", seen, first, next-1, skipped)
	}
	for range min(8, m.next-first) {
		seq := rapid.Uint64Range(first, m.next-1).Draw(m.t, "seq")
		if record, err := m.log.Read(seq, nil); !errors.Is(err, ErrGone) && (err != nil || !bytes.Equal(record, m.records[seq])) {
			m.t.Fatalf("Read(%d) = %.20q, %v, want %.20q", seq, record, err, m.records[seq])
		}
	}
}

// What was acknowledged is there after failures of the disk, kills and power failures; of the rest at most whole batches are, and
// none that was followed by an acknowledged one.
func TestLogAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		m := &model{
			t: t, random: rand.New(rand.NewPCG(seed, 0)), config: Config{SegmentBytes: 8 << 10}, disk: newMemDisk(),
			first: 1, next: 1, records: map[uint64][]byte{},
		}
		m.reopen(false)
		defer func() { m.log.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append":  func(*rapid.T) { m.append() },
			"fail":    func(*rapid.T) { m.appendFails() },
			"crash":   func(*rapid.T) { m.crash() },
			"restart": func(*rapid.T) { m.restart() },
			"trim":    func(*rapid.T) { m.trim() },
			"":        func(*rapid.T) { m.check() },
		})
	})
}
