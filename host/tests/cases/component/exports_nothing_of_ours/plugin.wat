(component
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (instance $i0 (export "f" (func $f)))
  (export "acme:a/b@1.0.0" (instance $i0))
)
