//go:build !wasip1

package aggregator

// RegisterColumns does nothing outside of WebAssembly: tests make the plugin with New.
func RegisterColumns(Columns) {}
