(import "pelton:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
(memory (export "memory") 300)
(func (export "process") (param i32) (result i32) (loop $l (call $log (i32.const 4) (i32.const 3000000) (i32.const 16000000) (i32.const 0) (i32.const 0)) (br $l)) (i32.const 8192))
