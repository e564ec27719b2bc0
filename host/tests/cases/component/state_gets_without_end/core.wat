;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(func (export "process") (param i32) (result i32) (loop $l (call $get (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16384)) (br $l)) (i32.const 8192))
