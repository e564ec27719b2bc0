(component
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (instance $i0 (export "describe" (func $f)) (export "init" (func $f)))
  (export "pelton:plugin/lifecycle@0.1.0" (instance $i0))
  (instance $i1 (export "prepare" (func $f)) (export "complete" (func $f)))
  (export "pelton:plugin/enrich@0.1.0" (instance $i1))
)
