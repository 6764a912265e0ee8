package hpack

import "errors"

// What Decode returns for a block that is in order and holds more than its Limits.
var (
	ErrTooLarge = errors.New("hpack: the fields are larger than the limit")
	ErrTooMany  = errors.New("hpack: there are more fields than the limit")
)

// The others: the block can't be decoded, and no later one of the connection either.
var (
	errTruncated = errors.New("hpack: the block ends within a field")
	errInteger   = errors.New("hpack: an integer is longer than 63 bits (RFC 7541 §5.1)")
	errIndex     = errors.New("hpack: an index is 0 or beyond the tables (RFC 7541 §2.3.3)")
	errHuffman   = errors.New("hpack: a string is no Huffman code, or its padding isn't up to seven ones (RFC 7541 §5.2)")
	errUpdate    = errors.New("hpack: a size update behind a field, a third one, or one over the announced size (RFC 7541 §4.2, §6.3)")
)
