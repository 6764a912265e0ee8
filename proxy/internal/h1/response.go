package h1

// Response is the head of an answer.
type Response struct {
	Status int
	Reason string // phrase
	Minor  int
	Fields Fields
	// Length is that of Content-Length; -1 when there is none, or Chunked.
	Length  int64
	Chunked bool
	// Doubtful is set when the head says two things of the body's length, of which Transfer-Encoding counts: nothing
	// that follows on the connection can be trusted (RFC 9112 §6.1).
	Doubtful bool
}

// MaxFields bounds the field lines of an answer.
const MaxFields = 2000

// Parse reads a head that HeadEnd has found to be complete. It reuses the memory of r.Fields. The error is an Error.
func (r *Response) Parse(head string) error {
	*r = Response{Fields: r.Fields[:0], Length: -1}
	first, rest := line(head)
	if err := r.statusLine(first); err != nil {
		return err
	}
	if err := r.Fields.parse(rest, MaxFields); err != nil {
		return err
	}
	lengths := ""
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.Kind {
		case ContentLength:
			n, ok := ParseLength(f.Value)
			if !ok {
				return ErrLength
			}
			if lengths != "" && lengths != f.Value { // also where the number is the same
				return ErrLengths
			}
			r.Length, lengths = n, f.Value
		case TransferEncoding:
			if r.Chunked || !EqualFold(f.Value, "chunked") {
				return ErrCoding
			}
			r.Chunked = true
		}
	}
	if r.Chunked {
		if !r.Fields.trailers() {
			return ErrTrailer
		}
		r.Doubtful = r.Length >= 0 || r.Minor == 0
		r.Length = -1
	}
	return nil
}

func (r *Response) statusLine(s string) error {
	if len(s) < 12 || s[:7] != "HTTP/1." || !digit(s[7]) || s[8] != ' ' ||
		!digit(s[9]) || !digit(s[10]) || !digit(s[11]) || len(s) > 12 && s[12] != ' ' {
		return ErrStatusLine
	}
	r.Minor = min(int(s[7]-'0'), 1)
	r.Status = int(s[9]-'0')*100 + int(s[10]-'0')*10 + int(s[11]-'0')
	if len(s) > 13 {
		r.Reason = s[13:]
	}
	if r.Status < 100 || !all(r.Reason, inValue) {
		return ErrStatusLine
	}
	return nil
}
