;; world: transformer
