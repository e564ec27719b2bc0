package main

import (
	"testing"

	"pelton/peltontest"
)

func TestCounts(t *testing.T) {
	peltontest.Keyed(t, plugin, `{}`,
		`{"_key": "a", "amount": 2.5}
		 {"_key": "b", "amount": 1}
		 {"_key": "a", "amount": 1}
		 {"_key": "a", "amount": -1}`,
		`{"ad": "a", "clicks": 1, "cents": 250}
		 {"ad": "b", "clicks": 1, "cents": 100}
		 {"ad": "a", "clicks": 2, "cents": 350}
		 {"_reject": "negative_amount: amount is -1"}`)
}
