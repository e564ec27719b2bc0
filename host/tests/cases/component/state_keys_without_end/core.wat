;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(func (export "process") (param i32) (result i32) (local $n i32) (loop $l (i32.store (i32.const 16384) (local.tee $n (i32.add (local.get $n) (i32.const 1)))) (call $put (i32.const 0) (i32.const 0) (i32.const 16384) (i32.const 4) (i32.const 0) (i32.const 0)) (br $l)) (i32.const 8192))
