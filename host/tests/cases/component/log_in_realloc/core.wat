(import "pelton:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $log (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 65536))
