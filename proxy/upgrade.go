package proxy

import (
	"errors"
	"net/http"
)

func (t *try) upgrade(resp *http.Response, protocol string) error {
	return malformed("upgrade to %q: %w", protocol, errors.ErrUnsupported)
}
