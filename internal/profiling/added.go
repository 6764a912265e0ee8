package profiling

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime/pprof"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a Profile (https://github.com/google/pprof/blob/main/proto/profile.proto), and of what is in it.
const (
	fieldSample   = 2 // location_id 1, value 2, label 3: key 1, str 2, num_unit 4
	fieldLocation = 4 // id 1, line 4: function_id 1
	fieldFunction = 5 // id 1, name 2, system_name 3, filename 4
	fieldString   = 6
	fieldDuration = 10
)

var errMalformed = errors.New("profiling: a profile is malformed")

// added is what a profile has after some seconds less what it had before.
func added(w http.ResponseWriter, r *http.Request, p *pprof.Profile, seconds int) {
	before, err := collect(p)
	if err == nil {
		err = wait(r, float64(seconds))
	}
	var after []byte
	if err == nil {
		after, err = collect(p)
	}
	if err == nil {
		after, err = less(after, before)
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	after = protowire.AppendTag(after, fieldDuration, protowire.VarintType)
	after = protowire.AppendVarint(after, uint64(seconds)*uint64(time.Second))
	file(w, p.Name()+"-delta")
	z := gzip.NewWriter(w)
	_, _ = z.Write(after) // the client has gone
	_ = z.Close()
}

func collect(p *pprof.Profile) ([]byte, error) {
	var b bytes.Buffer
	if err := p.WriteTo(&b, 0); err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(&b)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// less appends to a profile the negated samples of another one of this program, with what they refer to renumbered so that
// it comes after the profile's own. Readers add up what is at one place.
func less(profile, other []byte) ([]byte, error) {
	var locations, functions, strings uint64 // IDs count from 1
	if _, err := rewrite(profile, same, func(field protowire.Number, b []byte) ([]byte, error) {
		switch field {
		case fieldLocation:
			locations++
		case fieldFunction:
			functions++
		case fieldString:
			strings++
		}
		return b, nil
	}); err != nil {
		return nil, err
	}
	shift := func(by map[protowire.Number]uint64) func(protowire.Number, uint64) uint64 {
		return func(field protowire.Number, v uint64) uint64 { return v + by[field] }
	}
	sample := func(field protowire.Number, v uint64) uint64 {
		if field == 2 {
			return -v
		}
		return v + locations
	}
	_, err := rewrite(other, same, func(field protowire.Number, b []byte) (_ []byte, err error) {
		switch field {
		default:
			return b, nil // the profile has its own
		case fieldString:
		case fieldSample:
			b, err = rewrite(b, sample, func(field protowire.Number, b []byte) ([]byte, error) {
				if field == 3 {
					return rewrite(b, shift(map[protowire.Number]uint64{1: strings, 2: strings, 4: strings}), nil)
				}
				return packed(b, field, sample)
			})
		case fieldLocation:
			b, err = rewrite(b, shift(map[protowire.Number]uint64{1: locations}), func(_ protowire.Number, b []byte) ([]byte, error) {
				return rewrite(b, shift(map[protowire.Number]uint64{1: functions}), nil)
			})
		case fieldFunction:
			b, err = rewrite(b, shift(map[protowire.Number]uint64{1: functions, 2: strings, 3: strings, 4: strings}), nil)
		}
		profile = protowire.AppendTag(profile, field, protowire.BytesType)
		profile = protowire.AppendBytes(profile, b)
		return b, err
	})
	return profile, err
}

func same(_ protowire.Number, v uint64) uint64 { return v }

// rewrite copies a message with its numbers and its parts changed.
func rewrite(m []byte, number func(protowire.Number, uint64) uint64, part func(protowire.Number, []byte) ([]byte, error)) ([]byte, error) {
	var out []byte
	for len(m) > 0 {
		field, typ, n := protowire.ConsumeTag(m)
		if n < 0 {
			return nil, errMalformed
		}
		m = m[n:]
		out = protowire.AppendTag(out, field, typ)
		switch {
		case typ == protowire.VarintType:
			v, n := protowire.ConsumeVarint(m)
			if n < 0 {
				return nil, errMalformed
			}
			m, out = m[n:], protowire.AppendVarint(out, number(field, v))
		case typ == protowire.BytesType && part != nil:
			b, n := protowire.ConsumeBytes(m)
			if n < 0 {
				return nil, errMalformed
			}
			changed, err := part(field, b)
			if err != nil {
				return nil, err
			}
			m, out = m[n:], protowire.AppendBytes(out, changed)
		default:
			return nil, errMalformed
		}
	}
	return out, nil
}

// packed copies the numbers of one field.
func packed(b []byte, field protowire.Number, number func(protowire.Number, uint64) uint64) ([]byte, error) {
	var out []byte
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, errMalformed
		}
		b, out = b[n:], protowire.AppendVarint(out, number(field, v))
	}
	return out, nil
}
