// Package hpack reads and writes the header blocks of HTTP/2 (HPACK, RFC 7541) in the caller's buffers.
//
//	a whole block ─► Decoder.Decode ─► h1.Fields
//	Encoder.Begin ─► AppendStatus, AppendField … ─► a block
//
// Names and values are not checked here beyond their coding: what may stand in them is a rule of HTTP/2 (RFC 9113 §8.2).
//
// What is refused although the RFC doesn't say so: more than two size updates in a block (§4.2 has no use for a third), and
// integers beyond 63 bits.
//
// # Concurrency
//
// A Decoder and an Encoder belong to one connection, and aren't for use by several goroutines at a time.
package hpack
