package h1

import "strconv"

// Continue is the answer that asks a client for the body that it holds back (RFC 9110 §15.2.1).
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// AppendRequestLine appends the first line of a request of HTTP/1.minor to b.
func AppendRequestLine(b []byte, method, target string, minor int) []byte {
	b = append(append(append(b, method...), ' '), target...)
	b = append(b, " HTTP/1."...)
	return append(b, '0'+byte(minor), '\r', '\n')
}

// AppendStatusLine appends the first line of an answer of HTTP/1.1 to b.
func AppendStatusLine(b []byte, status int, reason string) []byte {
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(status), 10)
	return appendLine(append(b, ' '), reason)
}

// AppendField appends a field line to b. A value of more than one line is the caller's to avoid: Fields hold none.
func AppendField(b []byte, name, value string) []byte {
	return appendLine(append(append(b, name...), ": "...), value)
}

// AppendList appends a field line to b whose value is a list (RFC 9110 §5.6.1).
func AppendList(b []byte, name string, members []string) []byte {
	b = append(append(b, name...), ": "...)
	for i, m := range members {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, m...)
	}
	return AppendEnd(b)
}

// AppendTo appends the field lines to b, but for those whose kind is in skip.
func (f Fields) AppendTo(b []byte, skip Kinds) []byte {
	for i := range f {
		if x := &f[i]; !skip.Has(x.Kind) {
			b = AppendField(b, x.Name, x.Value)
		}
	}
	return b
}

// AppendLength says in a head that its body has n bytes.
func AppendLength(b []byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, "Content-Length: "...), n, 10), "\r\n"...)
}

// AppendChunked says in a head that its body is in chunks.
func AppendChunked(b []byte) []byte { return append(b, "Transfer-Encoding: chunked\r\n"...) }

// AppendFraming says in a head what r says of its body, if anything.
func (r *Request) AppendFraming(b []byte) []byte {
	switch {
	case r.Chunked():
		return AppendChunked(b)
	case r.HasLength:
		return AppendLength(b, r.Length)
	}
	return b
}

// AppendEnd ends a head.
func AppendEnd(b []byte) []byte { return append(b, "\r\n"...) }

// AppendChunkSize appends the line that goes before n bytes of content.
func AppendChunkSize(b []byte, n int) []byte {
	return append(strconv.AppendUint(b, uint64(n), 16), "\r\n"...)
}

// AppendLastChunk appends the end of a body in chunks, and its trailers.
func AppendLastChunk(b []byte, trailers Fields) []byte {
	return AppendEnd(trailers.AppendTo(append(b, "0\r\n"...), 0))
}

func appendLine(b []byte, s string) []byte { return append(append(b, s...), "\r\n"...) }
