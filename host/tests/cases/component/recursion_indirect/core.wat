(type $t (func)) (table 1 funcref) (elem (i32.const 0) func $f) (func $f (call_indirect (type $t) (i32.const 0)))
(func (export "process") (param i32) (result i32) (call $f) (i32.const 8192))
