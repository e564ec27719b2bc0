;; world: stateful-transformer
