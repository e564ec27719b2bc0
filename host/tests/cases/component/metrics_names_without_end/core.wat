(import "pelton:plugin/metrics@0.1.0" "counter-add" (func $add (param i32 i32 i64)))
(func (export "process") (param i32) (result i32) (local $n i64)
  (loop $l
    (i64.store (i32.const 16384) (i64.or (i64.and (local.get $n) (i64.const 0x0f0f0f0f0f0f0f0f)) (i64.const 0x6060606060606060)))
    (call $add (i32.const 16384) (i32.const 8) (i64.const -1))
    (local.set $n (i64.add (local.get $n) (i64.const 0x0101010107010301)))
    (br_if $l (i64.lt_u (i64.and (local.get $n) (i64.const 0xffffff)) (i64.const 0xf00000))))
  (i32.const 8192))
