;; world: aggregator
