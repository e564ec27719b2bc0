;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(func (export "describe") (param i32 i32) (result i32) (call $get (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16384)) (i32.const 1024))
