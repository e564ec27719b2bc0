(memory (export "memory") 900)
(func (export "process") (param i32) (result i32) 
  (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 50000000)) (br $l)) unreachable)
