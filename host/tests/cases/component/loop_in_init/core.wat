(func (export "init") (param i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32) (loop $l (br $l)) unreachable)
