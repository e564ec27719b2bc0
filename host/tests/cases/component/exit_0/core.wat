(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(func (export "process") (param i32) (result i32) (call $exit (i32.const 0)) (i32.const 8192))
