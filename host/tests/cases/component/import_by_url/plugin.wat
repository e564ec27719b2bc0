(component (import "url=<https://example.com/a.wasm>" (component)))
