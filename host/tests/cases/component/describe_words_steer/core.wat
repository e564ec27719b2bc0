(data (i32.const 16384) "\01\00\00\00\10\40\00\00\1e\00\00\00")(data (i32.const 16400) "\1b[2J\nforged: line\r\1b]0;title\07")
(func (export "describe") (param i32 i32) (result i32) (i32.const 16384))
