package hpack

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// maxScratch is how much of the buffer for Huffman codes a Decoder keeps between blocks: enough for what a request says
// anew, and little for an idle connection.
const maxScratch = 512

// Limits are what one block may hold.
type Limits struct {
	Size   int // of names and values, and 32 for each field, as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 §6.5.2)
	Fields int
}

// Decoder reads the header blocks of a connection, in order. After an error that is neither ErrTooLarge nor ErrTooMany it
// is out of step with the peer and of no more use.
type Decoder struct {
	table   table
	most    int // what a size update may ask for
	intern  func([]byte) string
	huffman *huffman
	scratch []byte // what Huffman codes of a field stood for
}

// Init makes d ready for a new connection. maxTable is the SETTINGS_HEADER_TABLE_SIZE that is announced to the peer. It may
// use the default of 4096 until it has seen that, so that a smaller one isn't enforced.
//
// intern makes the strings of literals that aren't entered in the table, from bytes that are valid until it returns; nil
// makes a new one each time. Strings that the table keeps are made once and by themselves, for a part of something larger
// would keep all of it.
func (d *Decoder) Init(maxTable uint32, intern func([]byte) string) {
	if intern == nil {
		intern = func(b []byte) string { return string(b) }
	}
	*d = Decoder{table: table{max: defaultTable}, most: int(max(maxTable, defaultTable)), intern: intern, huffman: theHuffman()}
}

// Decode appends the fields of block, which is whole, to f. Kinds are set, names are as the peer has written them.
//
// Of a block that holds more than l allows all is decoded, since the table must stay in step with the peer's, but what is
// beyond the limit isn't appended; the error then is ErrTooLarge or ErrTooMany. Any other error is one of the connection
// (COMPRESSION_ERROR, RFC 9113 §4.3).
//
// Besides the strings of f it needs no memory but the table, and a scratch buffer no larger than 1.6 times block.
func (d *Decoder) Decode(f h1.Fields, block []byte, l Limits) (h1.Fields, error) {
	out := list{Fields: f, left: l}
	err := d.decode(&out, block)
	if cap(d.scratch) > maxScratch {
		d.scratch = nil
	}
	if err == nil {
		err = out.over
	}
	return out.Fields, err
}

// list is what has been decoded of a block.
type list struct {
	h1.Fields
	left Limits
	over error // the limit that was passed
}

// room reports whether a field of a size is within the limits, and takes it off them.
func (l *list) room(size int) bool {
	switch {
	case l.over != nil:
	case size > l.left.Size:
		l.over = ErrTooLarge
	case l.left.Fields <= 0:
		l.over = ErrTooMany
	}
	l.left.Size -= size
	l.left.Fields--
	return l.over == nil
}

func (d *Decoder) decode(out *list, block []byte) (err error) {
	for updates := 0; len(block) > 0 && block[0]>>5 == 1; updates++ {
		var n uint64
		if n, block, err = readInt(block, 5); err != nil {
			return err
		}
		// Two are what a change to a smaller and then a larger size needs.
		if updates == 2 || n > uint64(d.most) {
			return errUpdate
		}
		d.table.max = int(n)
		d.table.shrink(d.table.max)
	}
	for len(block) > 0 {
		switch b := block[0]; {
		case b >= 0x80: // §6.1
			n := uint64(b & 0x7f)
			block = block[1:]
			if n == 0x7f {
				if n, block, err = readLong(n, block); err != nil {
					return err
				}
			}
			x := d.indexed(n)
			if x == nil {
				return errIndex
			}
			if out.room(sizeOf(x)) {
				out.Fields = append(out.Fields, h1.Field{})
				out.Fields[len(out.Fields)-1] = *x // append would copy it twice
			}
		case b >= 0x40: // §6.2.1
			block, err = d.entry(out, block)
		case b >= 0x20:
			return errUpdate
		default: // §6.2.2, §6.2.3
			block, err = d.literal(out, block)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// indexed returns the field of an index (RFC 7541 §2.3.3), nil if there is none.
func (d *Decoder) indexed(n uint64) *h1.Field {
	if n-1 < uint64(len(static)-1) {
		return &static[n]
	}
	if n -= uint64(len(static)); n < uint64(d.table.n) {
		return d.table.at(int(n))
	}
	return nil
}

// entry reads a literal that is entered in the table.
func (d *Decoder) entry(out *list, block []byte) ([]byte, error) {
	var f h1.Field
	name, value, rest, err := d.read(&f, block, 6)
	if err != nil {
		return nil, err
	}
	size := len(f.Name) + len(name) + len(value) + overhead
	room := out.room(size)
	if !room && size > d.table.max {
		d.table.shrink(0)
		return rest, nil
	}
	if f.Name == "" {
		if f.Name = knownName(name); f.Name == "" {
			f.Name = string(name)
		}
		f.Kind = h1.KindOf(f.Name)
	}
	f.Value = string(value)
	d.table.add(f)
	if room {
		out.Fields = append(out.Fields, f)
	}
	return rest, nil
}

// literal reads a literal that isn't.
func (d *Decoder) literal(out *list, block []byte) ([]byte, error) {
	f := h1.Field{Sensitive: block[0] >= 0x10}
	name, value, rest, err := d.read(&f, block, 4)
	if err != nil || !out.room(len(f.Name)+len(name)+len(value)+overhead) {
		return rest, err
	}
	if f.Name == "" {
		if f.Name = knownName(name); f.Name == "" {
			f.Name = d.intern(name)
		}
		f.Kind = h1.KindOf(f.Name)
	}
	f.Value = d.intern(value)
	out.Fields = append(out.Fields, f)
	return rest, nil
}

// read reads a literal whose name's index is in the low bits of its first byte. A name of the tables is set in f, with its
// kind; another is returned.
func (d *Decoder) read(f *h1.Field, block []byte, bits uint) (name, value, rest []byte, err error) {
	d.scratch = d.scratch[:0]
	n, rest, err := readInt(block, bits)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case n == 0:
		name, rest, err = d.readString(rest)
		if err != nil {
			return nil, nil, nil, err
		}
	default:
		x := d.indexed(n)
		if x == nil {
			return nil, nil, nil, errIndex
		}
		f.Name, f.Kind = x.Name, x.Kind
	}
	value, rest, err = d.readString(rest)
	return name, value, rest, err
}

// readString cuts a string off b (RFC 7541 §5.2): a part of it or of scratch.
func (d *Decoder) readString(b []byte) (s, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errTruncated
	}
	coded := b[0] >= 0x80
	n, rest, err := readInt(b, 7)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, errTruncated
	}
	s, rest = rest[:n], rest[n:]
	if !coded {
		return s, rest, nil
	}
	start := len(d.scratch)
	if d.scratch, err = d.huffman.decode(d.scratch, s); err != nil {
		return nil, nil, err
	}
	return d.scratch[start:], rest, nil
}
