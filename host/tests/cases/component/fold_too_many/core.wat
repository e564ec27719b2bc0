;; world: aggregator
(data (i32.const 16384) "\00\00\00\00\00\00\00\00\00\00\00\00\20\4e\00\00\e8\03\00\00\00\00\00\00\00\00\00\00")
(func (export "fold") (param i32) (result i32) (i32.const 16384))
