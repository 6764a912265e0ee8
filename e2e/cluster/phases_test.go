package cluster_test

import "slices"

// phases are the rows of the table, in order.
var phases = []phase{
	{name: "cold starts", serial: true, cases: coldStartCases},
	{name: "steady", cases: slices.Concat(scaleCases, modeCases, protocolCases, timeoutCases, startCases, podCases, eventCases)},
	{name: "rollouts", serial: true, before: deployPair, after: oneActivator, cases: rolloutCases},
	{name: "autoscaler away", before: stopAutoscaler, after: startAutoscaler, cases: autoscalerCases},
	{name: "API server away", before: stopAPIServer, after: startAPIServer, cases: apiServerCases},
	{name: "back again", cases: backCases},
	{name: "TLS", serial: true, before: enableTLS, after: disableTLS, cases: tlsCases},
}
