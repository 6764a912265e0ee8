// Package clients tests the quickstart's Kubernetes API with the clients that people use: the real kubectl and kn, and client-go's
// informers.
//
//	kubectl, kn, informers ──► API ─┐
//	                                ├─ quickstart, as a process
//	curl ──────────────────► ingress┘
//
// TestVerbs has a table of kubectl's commands and kinds, and one of kn's commands. TestWalk writes docs/walk.md and compares with it.
// TestCloudEvents sends events of the CloudEvents project to a broker.
//
//	SLUICE_KUBE_BIN=/tmp/sluice-cluster/bin go test .     # kubectl as hack/cluster builds it; else that of the path
//	go test -run TestWalk -update                         # writes docs/walk.md
//	go test -run TestInformers -for 1h -timeout 3h        # an hour of changes with each kind of informers
//	go test -run '^$' -bench . -benchtime 10x             # figures: start, idle memory, from apply to Ready
//
// It is a module of its own, since Knative's clients bring many dependencies. So is kn, which pins the program kn as a Go tool: the
// tests build it, which takes minutes the first time.
package clients
