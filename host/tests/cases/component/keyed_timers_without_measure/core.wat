;; world: keyed-transformer
(memory (export "memory") 900)
(func $s (local $i i32) (loop $l (i32.store8 (i32.add (i32.const 30000000) (local.get $i)) (i32.const 1)) (i64.store (i32.add (i32.const 10000000) (i32.mul (local.get $i) (i32.const 8))) (i64.extend_i32_u (local.get $i))) (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000)))))(start $s)
(data (i32.const 20000) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\c0\c6\2d\00\40\42\0f\00\00\00\00\00\00\00\00\00\00\2d\31\01\41\42\0f\00\c0\05\d9\01\40\42\0f\00\80\96\98\00\40\42\0f\00\80\c3\c9\01\40\42\0f\00\00\00\00\00\00\00\00\00\20\4e\00\00\04\00\00\00")
(func (export "process") (param i32) (result i32) (i32.const 16384))
