package h2

import "time"

// What a peer may do that costs us and brings no request further. Each number is far above what browsers, curl, Go, gRPC, Node,
// nghttp2 and Envoy do, and so low that the cost is that of a few requests.
const (
	// resets before an answer, by the peer or because it broke a rule (CVE-2023-44487, and CVE-2025-8671 which has us reset): each
	// completed answer pays for one. Clients that give up do so after they got answers, or a few times. nginx and Envoy have
	// limits of the same kind.
	maxResets = 100
	// chores are control frames that the peer sends, frames for streams that have gone, and DATA with next to nothing in it.
	// Envoy lets 10 000 of PING and SETTINGS wait, 100 of PRIORITY per stream.
	maxChores = 2000
	// renewal is how long both last if they aren't earned: 10 resets and 200 chores a second. gRPC's keep-alive is a PING in 10 s
	// at most, its estimate of bandwidth one in a round trip with data.
	renewal = 10 * time.Second

	// earnedByAnswer are chores that a completed answer pays for: the updates of its windows, and what its client sends after it.
	earnedByAnswer = 8
	// earnedByWhole are those that a DATA frame pays for that no window has cut short: some clients update both windows after each.
	earnedByWhole = 2
	// chorePerData is how many bytes of content, sent or received, pay for one: Go's client updates windows each 4 KiB.
	chorePerData = 1 << 10
	// tinyData is the least content of a DATA frame that is no chore: the prefix of a gRPC message (5 bytes).
	tinyData = 5

	// freeExpansion is what a head may have besides what is in its block: what the tables have, twice.
	freeExpansion = 2 * initialTable
	// maxContinuation bounds the frames of a header block besides the first, unless Config.MaxHead needs more (CVE-2024-27316).
	maxContinuation = 16
	// maxInterim bounds the interim answers to a request. Go's client has 5, but for those that its user asks for.
	maxInterim = 100
	// minBlock is the least bound on the encoded bytes of a header block, so that a small MaxHead is answered and not a reason to
	// end the connection. Huffman codes make a block smaller than the list that MaxHead counts.
	minBlock = 64 << 10

	// lastID is the id from which a connection should make place for another: there are none beyond 2³¹-1 (RFC 9113 §5.1.1).
	lastID = 1<<31 - 1<<16
	// initialStreams is what a client opens before it knows the server's limit: RFC 9113 §6.5.2 recommends not to allow less.
	initialStreams = 100
)
