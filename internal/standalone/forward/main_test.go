package forward

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// office is the proxy of the tests' environment, which net/http reads once.
const office = "http://192.0.2.9:3128"

func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", office)
	os.Setenv("NO_PROXY", "0.0.0.0,.invalid.")
	goleak.VerifyTestMain(m)
}
