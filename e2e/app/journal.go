package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// journal writes a line when the handling of an event begins, and one when it ends, in a file that outlives a process that is killed:
//
//	begin ATTEMPT SUBJECT NUMBER EPOCH NANOSECONDS
//	end ATTEMPT NANOSECONDS
//	cut ATTEMPT NANOSECONDS
//
// "cut" is the end when the client has gone before the event was handled. Each line is one write, so that none is lost with the process.
type journal struct {
	file     *os.File
	failed   error
	attempts atomic.Int64
}

// newJournal opens the file APP_DIR/PID-NANOSECONDS.journal; events without it fail.
func newJournal() *journal {
	j := &journal{}
	name := fmt.Sprintf("%d-%d.journal", os.Getpid(), monotonic())
	j.file, j.failed = os.OpenFile(filepath.Join(os.Getenv("APP_DIR"), name), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	return j
}

// monotonic is the time of a clock that all processes of the machine share, and that nobody sets (clock_gettime(2)).
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // every system has it
	}
	return now.Nano()
}

func (j *journal) line(format string, args ...any) {
	if _, err := fmt.Fprintf(j.file, format+"\n", args...); err != nil {
		panic(err) // without its line an event must not be acknowledged
	}
}

// event handles a CloudEvent, for as long as its attribute work says.
func (j *journal) event(w http.ResponseWriter, r *http.Request) {
	if j.failed != nil {
		http.Error(w, j.failed.Error(), http.StatusInternalServerError)
		return
	}
	n, h := j.attempts.Add(1), r.Header
	j.line("begin %d %s %s %s %d", n, h.Get("Ce-Subject"), h.Get("Ce-Number"), h.Get("Sluice-Key-Epoch"), monotonic())
	_, err := io.Copy(io.Discard, r.Body) // from then on net/http sees a client that goes
	work, _ := time.ParseDuration(h.Get("Ce-Work"))
	if err == nil {
		select {
		case <-time.After(work):
		case <-r.Context().Done():
			err = r.Context().Err()
		}
	}
	if err != nil {
		j.line("cut %d %d", n, monotonic())
		return
	}
	j.line("end %d %d", n, monotonic())
	w.WriteHeader(http.StatusAccepted)
}
