package main

import (
	"testing"

	"pelton/peltontest"
)

func TestSales(t *testing.T) {
	peltontest.Transformer(t, plugin, `{"least": 1}`,
		`{"ad": "a", "amount": 2.5}
		 {"ad": "b", "amount": 0.5}
		 {"ad": "a", "amount": -1}`,
		`{"ad": "a", "cents": 250}
		 {"_reject": "negative_amount: amount is -1"}`)
}
