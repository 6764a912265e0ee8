package proxy_test

// doubtful is an answer of an app's that two parsers might read differently, or that one might take and another refuse.
type doubtful struct {
	rfc    string // where it says what to do
	sent   string
	status int // what the client gets; 502: or an answer that is cut off, when its head has gone already
	body   string
	ends   bool // the app's connection ends after it; otherwise the next answer follows at once
	method string
}

// Pieces of answers.
const (
	ok200     = "HTTP/1.1 200 OK\r\n"
	hello     = "Content-Length: 5\r\n\r\nhello"
	chunked   = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
	helloOnce = "5\r\nhello\r\n0\r\n\r\n"
)

// answers holds answers by what is wrong with them.
var answers = map[string][]doubtful{
	"Content-Length": {
		{"9112 6.3", ok200 + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 502, "", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 6\r\nContent-Length: 5\r\n\r\nhello!", 502, "", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 5\r\nContent-Length: 05\r\n\r\nhello", 502, "", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 5, 5\r\n\r\nhello", 502, "", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 5, 6\r\n\r\nhello!", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length:\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: +5\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: -5\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: 0x5\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: 5.0\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: 5 5\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: five\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: \xd9\xa5\r\n\r\nhello", 502, "", false, ""}, // an Arabic digit
		{"9110 8.6", ok200 + "Content-Length: 9223372036854775808\r\n\r\nhello", 502, "", false, ""},
		{"9110 8.6", ok200 + "Content-Length: 18446744073709551621\r\n\r\nhello", 502, "", false, ""}, // 5 modulo 2^64
		{"9110 8.6", ok200 + "Content-Length: 0005\r\n\r\nhello", 200, "hello", false, ""},
		{"9110 7.6.1", ok200 + "Connection: Content-Length\r\n" + hello, 200, "hello", false, ""},
		{"9112 8", ok200 + "Content-Length: 10\r\n\r\nhello", 502, "", true, ""},
	},
	"Transfer-Encoding": {
		{"9112 6.3", ok200 + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.3", ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.3", ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\nConnection: Transfer-Encoding\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.1", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: gzip\r\n\r\nhello", 502, "", true, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: chunked, gzip\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: identity\r\n" + hello, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: chunked, chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: xchunked\r\n" + hello, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: chunked;q=1\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding: ,chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 6.1", ok200 + "Transfer-Encoding:\r\n" + hello, 502, "", false, ""},
		{"9110 5.5", ok200 + "Transfer-Encoding: \vchunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 5.2", ok200 + "Transfer-Encoding:\r\n chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 5.1", ok200 + "Transfer-Encoding : chunked\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 5.1", ok200 + " Transfer-Encoding: chunked\r\n" + hello, 502, "", false, ""},
		{"9110 5.1", ok200 + "Transfer_Encoding: chunked\r\n" + hello, 200, "hello", false, ""},
		{"9112 7", ok200 + "Transfer-Encoding: CHUNKED\r\n\r\n" + helloOnce, 200, "hello", false, ""},
		{"9112 6.3", ok200 + "\r\nto the end", 200, "to the end", true, ""},
		{"9112 6.3", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end", 200, "to the end", true, ""},
	},
	"chunks": {
		{"9112 7.1.1", chunked + "5;x=\"y\"\r\nhello\r\n0;z\r\n\r\n", 200, "hello", false, ""},
		{"9112 7.1", chunked + "00005\r\nhello\r\n000\r\n\r\n", 200, "hello", false, ""},
		{"9112 7.1", chunked + "5 \r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + " 5\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "+5\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "-5\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "0x5\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5_\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5\nhello\n0\n\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5\rhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5\r\nhello\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5\r\nhellox\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "5\r\nhell\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + ";x\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1.1", chunked + "5;x\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1.1", chunked + "5;\x00\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "10000000000000005\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 7.1", chunked + "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 502, "", false, ""},
		{"9112 8", chunked + "5\r\nhello\r\n", 502, "", true, ""},
		{"9112 8", chunked + "5\r\nhello\r\n0\r\n", 502, "", true, ""},
	},
	"trailers": {
		{"9112 7.1.2", chunked + "5\r\nhello\r\n0\r\nX: y\r\n\r\n", 200, "hello", false, ""},
		{"9110 6.5.1", chunked + "5\r\nhello\r\n0\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n", 200, "hello", false, ""},
		{"9110 6.5.1", ok200 + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n" + helloOnce, 502, "", false, ""},
		{"9112 5.1", chunked + "5\r\nhello\r\n0\r\nX : y\r\n\r\n", 502, "", false, ""},
		{"9112 5.2", chunked + "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", 502, "", false, ""},
		{"9112 2.2", chunked + "5\r\nhello\r\n0\r\nX: y\n\n", 502, "", false, ""},
		{"9112 2.2", chunked + "5\r\nhello\r\n0\r\n\n", 502, "", false, ""},
	},
	"no body": {
		{"9112 6.3", ok200 + hello, 200, "", false, "HEAD"},
		{"9112 6.3", chunked + helloOnce, 200, "", false, "HEAD"},
		{"9112 6.3", "HTTP/1.1 204 No Content\r\n" + hello, 204, "", false, ""},
		{"9112 6.3", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 204, "", false, ""},
		{"9112 6.3", "HTTP/1.1 304 Not Modified\r\n" + hello, 304, "", false, ""},
		{"9112 6.3", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" + helloOnce, 304, "", false, ""},
		{"9112 6.3", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, ""},
		{"9112 6.3", ok200 + "Content-Length: 0\r\n\r\n", 200, "", false, ""},
	},
	"interim answers": {
		{"9110 15.2", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + ok200 + hello, 200, "hello", false, ""},
		{"9110 15.2", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + ok200 + hello, 200, "hello", false, ""},
		{"9110 15.2", "HTTP/1.1 102 Processing\r\n" + hello, 502, "", false, ""},
		{"9110 15.2", "HTTP/1.1 100 Continue\r\n\r\n" + ok200 + hello, 200, "hello", false, ""},
		{"9110 15.2.2", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502, "", false, ""},
	},
	"status lines": {
		{"9112 4", "HTTP/1.1 200\r\n" + hello, 200, "hello", false, ""},
		{"9112 4", "HTTP/1.1 2000 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1 20 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1 099 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1 +20 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1 200OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1  200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "HTTP/1.1\t200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", " HTTP/1.1 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 4", "\r\nHTTP/1.1 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "http/1.1 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "HTTP/2 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "HTTP/2.0 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "HTTP/1.10 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "ICY 200 OK\r\n" + hello, 502, "", false, ""},
		{"9112 2.3", "hello", 502, "", false, ""},
		{"9112 4", "HTTP/1.1 200 O\x00K\r\n" + hello, 502, "", false, ""},
		{"9112 2.2", "HTTP/1.1 200 OK\rX: y\r\n" + hello, 502, "", false, ""},
	},
	"lines": {
		{"9112 2.2", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello", false, ""},
		{"9112 2.2", "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello", 200, "hello", false, ""},
		{"9112 2.2", ok200 + "X: a\rContent-Length: 0\r\n" + hello, 502, "", false, ""},
		{"9112 2.2", ok200 + "X: a\r\r\n" + hello, 502, "", false, ""},
		{"9112 5.2", ok200 + "X: a\r\n b\r\n" + hello, 502, "", false, ""},
		{"9112 5.2", ok200 + "X: a\r\n\tContent-Length: 0\r\n" + hello, 502, "", false, ""},
		{"9112 5.1", ok200 + "X : a\r\n" + hello, 502, "", false, ""},
		{"9112 5.1", ok200 + ": a\r\n" + hello, 502, "", false, ""},
		{"9112 5", ok200 + "nonsense\r\n" + hello, 502, "", false, ""},
		{"9110 5.1", ok200 + "X Y: a\r\n" + hello, 502, "", false, ""},
		{"9110 5.1", ok200 + "X\xe9: a\r\n" + hello, 502, "", false, ""},
		{"9110 5.5", ok200 + "X: a\x00b\r\n" + hello, 502, "", false, ""},
		{"9110 5.5", ok200 + "X: a\x7fb\r\n" + hello, 502, "", false, ""},
		{"9110 5.5", ok200 + "X: \xff\r\n" + hello, 200, "hello", false, ""},
		{"9110 7.6.1", ok200 + "Connection: X, close\r\nX: a\r\n" + hello, 200, "hello", false, ""},
	},
}
