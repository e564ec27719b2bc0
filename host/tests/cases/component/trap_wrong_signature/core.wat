(type $t (func (param f64))) (table 1 funcref) (elem (i32.const 0) func $g) (func $g)
(func (export "process") (param i32) (result i32) (call_indirect (type $t) (f64.const 0) (i32.const 0)) (i32.const 8192))
