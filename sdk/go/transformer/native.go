//go:build !wasip1

package transformer

// RegisterColumns does nothing outside of WebAssembly: tests make the plugin with New.
func RegisterColumns(Columns) {}
