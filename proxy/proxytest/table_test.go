package proxytest

import (
	"slices"
	"testing"
)

// Only these few cases can't run through products.
func TestFewCasesAreScripted(t *testing.T) {
	want := []string{
		"Heads/Peers28ConnectionOptionsSpareTheProxysOwn",
		"Heads/ForwardedForGrowsOnceForAllAttempts",
		"Bodies/ContinueIsOursWhereTheUpstreamIsNotAsked",
		"Bodies/F4ADialThatWrapsTheSocket",
		"Timeouts/TheyCountFromFrom",
		"Timeouts/TheTextOfATimeout",
		"Clients/RefusedWhileItSends",
		"Retries/ADialThatFailsGoesElsewhere",
		"Retries/ThreeAttemptsAtMost",
		"Retries/NotProcessedGoesElsewhere",
		"Retries/F12NotProcessedOfAStrangerIsNotBelieved",
		"Retries/ABodyTooLargeToHold",
		"Retries/F10ARequestWhoseConnectionEndedGoesElsewhere",
		"Retries/AStreamThatWaitsIsSentElsewhere",
		"Retries/TheBudgetIsLimited",
		"Answers/Local",
		"Answers/OwnAnswersAreFramed",
		"Answers/ErrorsOfThePolicy",
		"Answers/Peers17ADialThatTakesTooLong",
		"Answers/AHostOfTheUpstreams",
		"Answers/ACopyOfTheHead",
		"Answers/AnAnswerMayBeEdited",
		"GRPC/Peers20ErrorsAreStatuses",
	}
	var got []string
	all := 0
	for _, g := range groups {
		for _, c := range g.cases {
			all++
			if c.scripted != "" {
				got = append(got, g.name+"/"+c.name)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("scripted are, of %d cases,\n%q, want\n%q", all, got, want)
	}
}
