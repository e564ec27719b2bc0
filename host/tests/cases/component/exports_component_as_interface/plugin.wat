(component (component $c) (export "pelton:plugin/lifecycle@0.1.0" (component $c)) (export "pelton:plugin/transform@0.1.0" (component $c)))
