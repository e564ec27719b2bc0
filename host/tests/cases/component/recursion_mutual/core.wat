(func $a (param i64) (call $b (i64.add (local.get 0) (i64.const 1))))(func $b (param i64) (call $a (local.get 0)))
(func (export "process") (param i32) (result i32) (call $a (i64.const 0)) (i32.const 8192))
