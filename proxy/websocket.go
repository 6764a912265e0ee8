package proxy

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
)

// An HTTP/2 client's websocket (RFC 8441) is one of HTTP/1.1 upstream. There a handshake shows that both ends mean a websocket (RFC 6455
// §1.3), which HTTP/2 doesn't have: it is the proxy's own.

// websocketKey is a Sec-WebSocket-Key.
func websocketKey() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// websocketAccept is the Sec-WebSocket-Accept that answers a key.
func websocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
