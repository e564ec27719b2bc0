package main

import (
	"testing"

	"pelton/enricher"
	"pelton/peltontest"
)

func TestScores(t *testing.T) {
	answer := func(asked enricher.Request) enricher.Answer {
		if asked.Path == "/scores/a" {
			return enricher.Answer{Status: 200, Body: []byte("7")}
		}
		return enricher.Answer{Status: 404}
	}
	peltontest.Enricher(t, plugin, `{}`, answer,
		`{"ad": "a"}
		 {"ad": "b"}`,
		`{"ad": "a", "score": "7"}
		 {"ad": "b", "score": null}`)
}
