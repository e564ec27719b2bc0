//! Core modules become components, and the layouts that the SDKs of Go and C write by hand are those of the interface.

#![allow(clippy::unwrap_used, reason = "tests")]
use std::{fmt::Write, fs, path::Path, process::Command};

use wit_parser::{Resolve, SizeAlign, Type, TypeDefKind};

use super::{
    adapter, encode,
    interface::{self, World},
    python,
};

/// A module with the exports of a world, all of which trap, and some imports.
fn core(world: World, imports: &str) -> Vec<u8> {
    let (resolve, world) = interface::parse(world);
    let mut text = format!("(module {imports} (memory (export \"memory\") 1)\n");
    text.push_str("(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)\n");
    for (key, item) in &resolve.worlds[world].exports {
        let wit_parser::WorldItem::Interface { id, .. } = item else { continue };
        for function in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(wit_parser::abi::AbiVariant::GuestExport, function);
            let list = |types: &[wit_parser::abi::WasmType]| {
                types
                    .iter()
                    .map(|ty| if matches!(ty, wit_parser::abi::WasmType::I64) { " i64" } else { " i32" })
                    .collect::<String>()
            };
            let name = format!("{}#{}", resolve.name_world_key(key), function.name);
            let (params, results) = (list(&signature.params), list(&signature.results));
            writeln!(text, "(func (export \"{name}\") (param{params}) (result{results}) unreachable)").unwrap();
        }
    }
    text.push(')');
    wat::parse_str(text).unwrap()
}

#[test]
fn a_modules_exports_say_its_world_and_it_becomes_a_component() {
    for (world, _) in World::ALL {
        let component = encode::encode(&core(world, ""), None).unwrap_or_else(|what| panic!("{world}: {what}"));
        assert_eq!(encode::form(&component), Ok(encode::Form::Component), "{world}");
        assert_eq!(world.name().parse(), Ok(world));
    }
    assert!("reducer".parse::<World>().unwrap_err().contains("there are stateful-transformer"));
}

#[test]
fn every_function_of_the_preview_has_a_stand_in() {
    let known: &[(&str, &str)] = &[
        ("args_sizes_get", "(param i32 i32) (result i32)"),
        ("environ_get", "(param i32 i32) (result i32)"),
        ("sched_yield", "(result i32)"),
        ("proc_exit", "(param i32)"),
        ("fd_prestat_get", "(param i32 i32) (result i32)"),
        ("fd_write", "(param i32 i32 i32 i32) (result i32)"),
        ("clock_time_get", "(param i32 i64 i32) (result i32)"),
        ("clock_res_get", "(param i32 i32) (result i32)"),
        ("pelton_tells_time", "(param i64) (result i32)"),
        ("random_get", "(param i32 i32) (result i32)"),
        ("poll_oneoff", "(param i32 i32 i32 i32) (result i32)"),
        ("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
        // Go imports this one twice.
        ("fd_write", "(param i32 i32 i32 i32) (result i32)"),
    ];
    let import = |(name, ty): &(&str, &str)| format!("(import \"{}\" \"{name}\" (func {ty}))", adapter::MODULE);
    let all: String = known.iter().map(import).collect();
    encode::encode(&core(World::Transformer, &all), None).unwrap();
    for one in known {
        encode::encode(&core(World::Transformer, &import(one)), None)
            .unwrap_or_else(|what| panic!("{}: {what}", one.0));
    }
}

#[test]
fn what_cannot_be_a_plugin_is_refused_by_name() {
    let foreign = core(World::Transformer, "(import \"env\" \"printf\" (func (param i32) (result i32)))");
    assert!(encode::encode(&foreign, None).unwrap_err().contains("`printf` of `env`"));
    let nothing = wat::parse_str("(module (func (export \"process\")))").unwrap();
    assert!(encode::encode(&nothing, None).unwrap_err().contains("register the plugin"));
    assert!(encode::encode(&nothing, Some(World::Aggregator)).unwrap_err().contains("does not become a component"));
    assert!(encode::encode(b"\0asm\x01\0\0\0\xff", None).unwrap_err().contains("no sound core module"));
    assert!(encode::form(b"\x7fELF").unwrap_err().contains("is not WebAssembly"));
}

#[test]
fn a_python_project_says_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let state = |text: &str| {
        fs::write(folder.path().join("pyproject.toml"), text).unwrap();
        python::stated(folder.path())
    };
    assert_eq!(python::stated(folder.path()).unwrap(), None);
    assert_eq!(state("[project]\nworld = \"enricher\"\n").unwrap(), None);
    assert_eq!(state("[tool.pelton]\nworld = 'enricher' # asks\n[x]\n").unwrap(), Some(World::Enricher));
    assert!(state("[tool.pelton]\nworld = \"x\"\n").unwrap_err().to_string().contains("`x` is no world"));
}

/// The records whose layout the SDKs write down: name in the interface, in C, in Go's package `wire`.
const RECORDS: [(&str, &str, &str); 20] = [
    ("bytes-column", "pelton_cells", "BytesColumn"),
    ("optional-bytes", "pelton_optional_cells", "OptionalBytes"),
    ("column", "pelton_column", "Column"),
    ("key-set", "pelton_keys", "KeySet"),
    ("batch", "pelton_batch", "Batch"),
    ("emitted", "pelton_emitted", "Emitted"),
    ("record-error", "pelton_error", "RecordError"),
    ("timer-ops", "pelton_timer_ops", "TimerOps"),
    ("due-timers", "pelton_due", "DueTimers"),
    ("processed", "pelton_processed", "Processed"),
    ("field", "pelton_field_info", "Field"),
    ("input", "pelton_input_info", "Input"),
    ("output", "pelton_output_info", "Output"),
    ("table", "pelton_table_info", "Table"),
    ("connector", "pelton_connector_info", "Connector"),
    ("manifest", "pelton_manifest", "Manifest"),
    ("windows", "pelton_windows", ""),
    ("fold-input", "pelton_fold_input", ""),
    ("closing", "pelton_closing", ""),
    ("response", "pelton_response", ""),
];

/// Size of a record, and where each of its fields begins.
fn layout(resolve: &Resolve, sizes: &SizeAlign, name: &str) -> (usize, Vec<usize>) {
    let (id, def) = resolve.types.iter().find(|(_, def)| def.name.as_deref() == Some(name)).unwrap();
    let TypeDefKind::Record(record) = &def.kind else { panic!("{name} is no record") };
    let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
    (sizes.size(&Type::Id(id)).size_wasm32(), offsets.iter().map(|(offset, _)| offset.size_wasm32()).collect())
}

#[test]
fn structs_of_c_are_laid_out_as_the_interface_is() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/c");
    let mut text =
        String::from("typedef struct { int x; } none;\n#define PELTON_ACCUMULATOR none\n#include <stdint.h>\n");
    for (world, include) in [(World::Aggregator, "aggregator"), (World::Enricher, "enricher")] {
        let (resolve, _) = interface::parse(world);
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        writeln!(text, "#include <pelton/{include}.h>").unwrap();
        for (name, c, _) in
            RECORDS.iter().filter(|(name, ..)| resolve.types.iter().any(|(_, def)| def.name.as_deref() == Some(*name)))
        {
            let (size, offsets) = layout(&resolve, &sizes, name);
            if world == World::Aggregator && *name == "response" || world == World::Enricher && *name != "response" {
                continue;
            }
            writeln!(text, "_Static_assert(sizeof({c}) == {size}, \"{name}: {size} {offsets:?}\");").unwrap();
        }
    }
    writeln!(text, "_Static_assert(offsetof(pelton_response, answer) == 16, \"\");").unwrap();
    writeln!(
        text,
        "_Static_assert(offsetof(pelton_batch, now_ms) == 8 && offsetof(pelton_batch, fields) == 168, \"\");"
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layout.c");
    fs::write(&file, text).unwrap();
    let clang = Command::new("clang")
        .args(["--target=wasm32-unknown-unknown", "-ffreestanding", "-std=c11", "-fsyntax-only", "-I"])
        .arg(sdk)
        .arg(&file)
        .output();
    // A machine without clang builds no plugins in C.
    if let Ok(done) = clang {
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// The SDK of Go compares the same figures with its own structs (`internal/wire/layout_test.go`).
#[test]
fn the_figures_that_go_compares_with_are_those_of_the_interface() {
    let (resolve, _) = interface::parse(World::Aggregator);
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve);
    let mut text = String::new();
    for (name, _, go) in RECORDS.iter().filter(|(_, _, go)| !go.is_empty()) {
        let (size, offsets) = layout(&resolve, &sizes, name);
        let offsets: Vec<String> = offsets.iter().map(usize::to_string).collect();
        writeln!(text, "{go} {size} {}", offsets.join(" ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/go/internal/wire/testdata/layout.txt");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "write this to sdk/go/internal/wire/testdata/layout.txt");
}
