// Package proxy moves the bytes of HTTP between a client and a hop, and knows no rule: where a request goes, how long it
// waits and what counts is decided by a Policy, which touches no byte.
//
//	client ──► Handler ──► Policy.Begin ──► Exchange.Next ──► hop
//	   ◄────────  copy  ◄── Exchange.Response ◄──────────────┘
//	                        Exchange.Release, Exchange.End
package proxy
