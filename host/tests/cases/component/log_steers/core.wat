(import "pelton:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 16384) "\1b[2J\0aforged \e2\80\aerow")
(func (export "process") (param i32) (result i32) 
  (call $log (i32.const 4) (i32.const 16384) (i32.const 22) (i32.const 16384) (i32.const 22)) unreachable)
