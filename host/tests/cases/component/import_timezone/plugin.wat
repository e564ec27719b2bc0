(component (import "wasi:clocks/timezone@0.2.6" (instance)))
