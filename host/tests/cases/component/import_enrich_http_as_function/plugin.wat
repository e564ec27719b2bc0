(component (import "pelton:plugin/http@0.1.0" (instance)))
