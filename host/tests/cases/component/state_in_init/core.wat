;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(func (export "init") (param i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32) (call $put (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 1)) (i32.const 8192))
