(memory (export "memory") 1000)(data (i32.const 16384) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\40\42\0f\00")
(func (export "process") (param i32) (result i32) (i32.const 16384))
