//! A core module becomes a component.
//!
//! The rule: the same steps for every language: find the world, embed its type where the module has none, put the stand-in for
//! `wasi_snapshot_preview1` beside it, encode, validate. What a module imports beyond that is refused by name.
//! Left to others: what the host gives to components (`plugin`).

use wasmparser::{Encoding, FuncType, Parser, Payload, TypeRef, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::{
    adapter,
    interface::{self, World},
};

type Encoded<T> = Result<T, String>;

/// What a file of WebAssembly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// a component, which needs nothing
    Component,
    /// a core module
    Module,
}

/// What the file is, by its first bytes.
pub fn form(wasm: &[u8]) -> Encoded<Form> {
    match Parser::new(0).parse_all(wasm).next() {
        Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => Ok(Form::Component),
        Some(Ok(Payload::Version { encoding: Encoding::Module, .. })) => Ok(Form::Module),
        _ => Err("is not WebAssembly: expected a core module or a component in binary form".into()),
    }
}

/// The component of a core module.
pub fn encode(core: &[u8], world: Option<World>) -> Encoded<Vec<u8>> {
    let module = Module::read(core)?;
    module.check_imports()?;
    let mut core = core.to_vec();
    if !module.is_typed {
        let world = world.or_else(|| World::of_exports(module.exports.iter().map(String::as_str))).ok_or(
            "exports none of the functions of a plugin, such as `pelton:plugin/transform@0.1.0#process`: register the plugin as the SDK's README shows, or say --world",
        )?;
        let (resolve, world) = interface::parse(world);
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).map_err(words)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&core).map_err(words)?;
    if !module.wasi.is_empty() {
        encoder = encoder.adapter(adapter::MODULE, &stand_in(&module)?).map_err(words)?;
    }
    encoder.encode().map_err(words)
}

fn words(error: anyhow::Error) -> String {
    format!("does not become a component: {error:#}")
}

fn stand_in(module: &Module) -> Encoded<Vec<u8>> {
    let wanted: Vec<adapter::Wanted<'_>> = module.wasi.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
    let mut adapter = wat::parse_str(adapter::text(&wanted)).expect("the stand-in's text is sound");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("adapter.wit", adapter::WIT).expect("the stand-in's interface is sound");
    let world = resolve.select_world(&[package], Some("adapter")).expect("the stand-in has a world");
    embed_component_metadata(&mut adapter, &resolve, world, StringEncoding::UTF8).map_err(words)?;
    Ok(adapter)
}

/// What matters of a core module.
#[derive(Default)]
struct Module {
    is_typed: bool,
    exports: Vec<String>,
    wasi: Vec<(String, FuncType)>,
    /// module and name of imports that nobody answers
    foreign: Vec<String>,
}

impl Module {
    fn read(core: &[u8]) -> Encoded<Self> {
        let words = |error: wasmparser::BinaryReaderError| format!("is no sound core module: {error}");
        Validator::new().validate_all(core).map_err(words)?;
        let mut module = Self::default();
        let mut types: Vec<Option<FuncType>> = Vec::new();
        for payload in Parser::new(0).parse_all(core) {
            match payload.map_err(words)? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group.map_err(words)?.into_types().map(|ty| match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        }));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        module.import(import.map_err(words)?, &types);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        module.exports.push(export.map_err(words)?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                    module.is_typed = true;
                }
                _ => {}
            }
        }
        Ok(module)
    }

    fn import(&mut self, import: wasmparser::Import<'_>, types: &[Option<FuncType>]) {
        let ty = match import.ty {
            TypeRef::Func(index) => types.get(index as usize).cloned().flatten(),
            _ => None,
        };
        match (import.module, ty) {
            (adapter::MODULE, Some(ty)) => self.wasi.push((import.name.to_owned(), ty)),
            (module, Some(_)) if module.starts_with("pelton:plugin/") => {}
            (module, _) => self.foreign.push(format!("`{}` of `{module}`", import.name)),
        }
    }

    fn check_imports(&self) -> Encoded<()> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        let (shown, rest) = self.foreign.split_at(self.foreign.len().min(5));
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        let help = "a plugin has `pelton:plugin/*` and the functions of `wasi_snapshot_preview1` that need no files; `env` is what was declared and never defined";
        Err(format!("imports {}{more}, which plugins are not given: {help}", shown.join(", ")))
    }
}
