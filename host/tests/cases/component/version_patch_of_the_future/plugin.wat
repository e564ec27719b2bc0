(component
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (instance $i0 (export "describe" (func $f)) (export "init" (func $f)))
  (export "pelton:plugin/lifecycle@0.1.99" (instance $i0))
  (instance $i1 (export "process" (func $f)))
  (export "pelton:plugin/transform@0.1.99" (instance $i1))
)
