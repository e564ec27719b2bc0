(import "pelton:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
(memory (export "memory") 1000)
(func (export "process") (param i32) (result i32) (call $log (i32.const 4) (i32.const 65536) (i32.const 50331648) (i32.const 0) (i32.const 0)) (i32.const 8192))
