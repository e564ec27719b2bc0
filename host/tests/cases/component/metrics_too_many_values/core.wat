(import "pelton:plugin/metrics@0.1.0" "histogram-record" (func $h (param i32 i32 i32 i32)))
(memory (export "memory") 1000)
(func (export "process") (param i32) (result i32) (call $h (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 7000000)) (i32.const 8192))
