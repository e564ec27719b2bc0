(import "pelton:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 16384) "\ff\ff")
(func (export "process") (param i32) (result i32) (call $log (i32.const 4) (i32.const 16384) (i32.const 2) (i32.const 0) (i32.const 0)) (i32.const 8192))
