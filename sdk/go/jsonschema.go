// The JSON Schema of a config, from its type.
//
// The rule: what it says is what encoding/json takes; a field's tag `doc` is its description, its value before any config its default.
// Left to others: checking a config by it (the host).

package pelton

import (
	"encoding/json"
	"reflect"
	"strings"
)

func schemaOf(defaults reflect.Value) string {
	schema := typeSchema(defaults.Type(), defaults)
	text, err := json.Marshal(schema)
	if err != nil {
		return ""
	}
	return string(text)
}

func typeSchema(t reflect.Type, defaults reflect.Value) map[string]any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": typeSchema(t.Elem(), reflect.Value{})}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(t.Elem(), reflect.Value{})}
	case reflect.Pointer:
		return typeSchema(t.Elem(), reflect.Value{})
	case reflect.Struct:
		return structSchema(t, defaults)
	}
	return map[string]any{}
}

func structSchema(t reflect.Type, defaults reflect.Value) map[string]any {
	properties := map[string]any{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		var inner reflect.Value
		if defaults.IsValid() {
			inner = defaults.Field(i)
		}
		property := typeSchema(field.Type, inner)
		if doc := field.Tag.Get("doc"); doc != "" {
			property["description"] = doc
		}
		if inner.IsValid() && !inner.IsZero() && field.Type.Kind() != reflect.Struct {
			property["default"] = inner.Interface()
		}
		properties[name] = property
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}
