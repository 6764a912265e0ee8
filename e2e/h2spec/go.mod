module github.com/sluice-proxy/sluice/e2e/h2spec

go 1.26.0

require (
	github.com/summerwind/h2spec v0.0.0-20200804131034-70ac22940108
	golang.org/x/net v0.62.0
)

require (
	github.com/fatih/color v0.0.0-20161025120501-bf82308e8c85 // indirect
	github.com/mattn/go-colorable v0.1.0 // indirect
	github.com/mattn/go-isatty v0.0.4 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
