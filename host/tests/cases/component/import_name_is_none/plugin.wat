(component (import "\1b[2Jforged" (func)))
