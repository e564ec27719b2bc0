(memory (export "memory") 32) (memory $b 1) (memory $c 1)
(func (export "process") (param i32) (result i32) 
  (loop $more (br_if $more (i32.and
    (i32.ne (memory.grow $b (i32.const 64)) (i32.const -1)) (i32.ne (memory.grow $c (i32.const 64)) (i32.const -1))))) unreachable)
