// Package migrate is the export `migrate-state`; outside of WebAssembly it is empty.
package migrate
