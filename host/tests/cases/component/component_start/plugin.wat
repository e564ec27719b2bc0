(component
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (start $f))
