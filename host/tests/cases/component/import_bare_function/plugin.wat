(component (import "do-as-i-say" (func)))
