;; world: keyed-transformer
