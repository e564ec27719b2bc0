(component (import "wasi:filesystem/preopens@0.2.6" (instance)))
