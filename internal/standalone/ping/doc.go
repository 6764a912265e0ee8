// Package ping sends the events of PingSources: the same data, at the times of a schedule of cron.
//
//	schedule ──► Pinger ──► POST, a CloudEvent in binary mode ──► sink
//	                └─ again, up to five times, if the sink can't be reached or asks for it
//
// # Concurrency
//
// Start starts a goroutine that waits for the next time, and one for each event until it has been sent or given up. Stop ends all
// of them and waits for them.
package ping
