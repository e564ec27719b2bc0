(component (import "acme:secret/door@1.0.0" (instance)))
