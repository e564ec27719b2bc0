package main

import (
	"testing"

	"pelton/peltontest"
)

func TestTurnover(t *testing.T) {
	peltontest.Aggregator(t, plugin, `{}`,
		`{"amount": 2.5}
		 {"amount": 1}
		 {"amount": -1}`,
		`{"clicks": 2, "cents": 350}
		 {"_reject": "negative_amount: amount is -1"}`)
}
