.DEFAULT_GOAL := help
.PHONY: help run test check race bench bench-compare e2e e2e-cluster generate

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve examples/hello.yaml on port 8080
	go run ./cmd/quickstart

test: ## run all tests, as README.md says
	go test ./...

check: ## everything that CI runs
	.ci/run

race: ## run all tests but the end-to-end ones many times under the race detector
	go test -race -count=20 $$(go list ./... | grep -v /e2e)

bench: ## run the benchmarks, cold starts last
	go test -run '^$$' -bench . -benchmem -skip ColdStart ./throttler ./metrics ./proxy ./queueproxy ./activator ./bench ./broker/internal/eventlog
	go test -run '^$$' -bench ColdStart -benchtime 200x ./bench

bench-compare: ## measure the proxies beside nginx, haproxy, Go's and Knative's (Debian; 75 minutes)
	mkdir -p bin
	go run ./bench/compare -install -json bin/compare.json -plot bin/compare.svg

e2e: ## run the end-to-end tests: the real binaries as processes
	go test -count=1 -v ./e2e

e2e-cluster: ## run e2e/cluster: all cases in all four ways on a real cluster (root on Debian; 40 minutes)
	e2e/cluster/run -report bin/e2e-cluster.md

generate: ## regenerate the protobuf code (needs protoc)
	go generate ./...
