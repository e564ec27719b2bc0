(func (export "process") (param i32) (result i32) (i32.const 8192))
(func (export "cabi_post_pelton:plugin/transform@0.1.0#process") (param i32) (loop $l (br $l)))
