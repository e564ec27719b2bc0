;; world: stateful-transformer
(import "pelton:plugin/state@0.1.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 600)
(data (i32.const 20000) "\09\00\00\00\01\00\00\00")
(func (export "process") (param i32) (result i32) (call $scan (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 1) (i32.const 65536) (i32.const 0) (i32.const -1) (i32.const 16384)) (call $scan (i32.const 0) (i32.const 0) (i32.const 20000) (i32.const 1) (i32.const 20004) (i32.const 1) (i32.const -1) (i32.const 16384)) (i32.const 8192))
