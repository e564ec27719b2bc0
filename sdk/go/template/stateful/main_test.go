package main

import (
	"testing"

	"pelton/peltontest"
)

func TestLargest(t *testing.T) {
	peltontest.Stateful(t, plugin, `{}`,
		`{"_key": "a", "amount": 2.5}
		 {"_key": "a", "amount": 1}
		 {"_key": "b", "amount": 1}
		 {"_key": "a", "amount": 3}
		 {"_key": "a", "amount": -1}`,
		`{"ad": "a", "what": "largest", "amount": 2.5}
		 {"ad": "b", "what": "largest", "amount": 1}
		 {"ad": "a", "what": "largest", "amount": 3}
		 {"_reject": "negative_amount: amount is -1"}`)
}
