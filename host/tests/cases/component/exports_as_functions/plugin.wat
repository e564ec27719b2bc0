(component
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (export "describe" (func $f)) (export "init" (func $f)) (export "process" (func $f)))
