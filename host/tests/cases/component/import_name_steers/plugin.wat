(component (import "url=<a\1b[2J\0aforged>" (component)))
