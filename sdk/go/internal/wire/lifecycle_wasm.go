//go:build wasip1

// The interface `lifecycle`, which every world exports.
//
// The rule: a panic is told in one line, where it happened and why, and then traps: the host rejects the record that caused it.
// Left to others: the plugin that was registered.

package wire

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"pelton"
)

// Plugin is what any world registers.
type Plugin interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
}

var plugin Plugin

// Register notes the one plugin of this program.
func Register(registered Plugin) {
	if plugin != nil {
		panic("a second plugin is registered: a program holds one")
	}
	plugin = registered
}

var errNone = errors.New("no plugin is registered: call Register of its world's package in func init")

//go:wasmexport pelton:plugin/lifecycle@0.1.0#describe
func describe(at, length uint32) uint32 {
	defer Trap()
	if plugin == nil {
		return FailText(errNone)
	}
	manifest, err := plugin.Describe(Text(List{at, length}))
	if err != nil {
		return FailText(err)
	}
	result, address := New[ManifestResult]()
	result.Manifest.Lower(manifest)
	return address
}

//go:wasmexport cabi_post_pelton:plugin/lifecycle@0.1.0#describe
func postDescribe(uint32) { Release() }

//go:wasmexport pelton:plugin/lifecycle@0.1.0#init
func start(config, configLen, job, jobLen, step, stepLen uint32, generation uint64, annotations, annotationsLen uint32) uint32 {
	defer Trap()
	if plugin == nil {
		return FailText(errNone)
	}
	context := pelton.Context{
		Config: Text(List{config, configLen}), Job: Text(List{job, jobLen}), Step: Text(List{step, stepLen}), Generation: generation,
	}
	for _, annotation := range View[Connector](List{annotations, annotationsLen}) {
		context.Annotations = append(context.Annotations, pelton.Annotation{Name: Text(annotation.Name), Value: Text(annotation.Doc)})
	}
	if err := plugin.Init(context); err != nil {
		return FailText(err)
	}
	_, address := New[ErrorResult]()
	return address
}

//go:wasmexport cabi_post_pelton:plugin/lifecycle@0.1.0#init
func postStart(uint32) { Release() }

// Trap turns a panic into one line and an end. It is deferred by every export.
func Trap() {
	if cause := recover(); cause != nil {
		fmt.Fprintf(os.Stderr, "panic: %v%s\n", cause, place())
		os.Exit(2)
	}
}

// place is where the panic began: the first frames that are neither the runtime's nor the SDK's.
func place() string {
	var counters [32]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(3, counters[:])])
	var text strings.Builder
	for shown := 0; shown < 4; {
		frame, more := frames.Next()
		if frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasPrefix(frame.Function, "pelton/") && !strings.HasPrefix(frame.Function, "pelton:") {
			file := frame.File[strings.LastIndexByte(frame.File, '/')+1:]
			fmt.Fprintf(&text, ", in %s (%s:%d)", frame.Function, file, frame.Line)
			shown++
		}
		if !more {
			break
		}
	}
	return text.String()
}
