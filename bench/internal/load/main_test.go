package load

import (
	"testing"

	"go.uber.org/goleak"
)

// net/http's server sleeps for 500 ms after it has closed a connection with unread bytes, longer than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
