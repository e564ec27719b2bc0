;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32)))
(import "pelton:plugin/state@0.1.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(func (export "process") (param i32) (result i32) (local $n i32)
  (loop $l (i32.store (i32.const 16384) (local.tee $n (i32.add (local.get $n) (i32.const 1)))) (call $put (i32.const 0) (i32.const 0) (i32.const 16384) (i32.const 4) (i32.const 65536) (i32.const 1000000)) (br_if $l (i32.lt_u (local.get $n) (i32.const 30))))
  (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 16384)) (i32.const 8192))
