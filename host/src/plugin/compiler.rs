//! Who compiles a component: this process, or a child that may take only so much.
//!
//! The rule: **a component that is costly to compile costs the worker nothing but time**: the child has a lower priority, a limit of CPU
//! time and of memory, an empty environment, and it ends with its work. What it hands over was made by this same program, and is
//! checked by the engine for the same version and settings.
//! Left to others: what is compiled at all (`package`), where it is kept (`cache`).

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Resource, Rlimit};
use wasmtime::component::Component;

use super::{cache, capability::log::clean, engine::Engine};
use crate::error::{Error, Kind, Result};

/// The command of this program that is the child.
pub const COMMAND: &str = "compile-plugin";

/// CPU seconds of one compilation. Python with its libraries takes about a tenth.
const TIME: u64 = 120;

/// Bytes of address space of the child.
const MEMORY: u64 = 6 << 30;

/// Bytes of compiled code.
const CODE: u64 = 1 << 30;

/// Who compiles.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// this process
    #[default]
    Here,
    /// this program, started again with [`COMMAND`]
    Program(PathBuf),
}

impl Compiler {
    /// The program that runs. It is the same one even where its file was replaced meanwhile.
    pub fn this_program() -> Self {
        Self::Program(PathBuf::from("/proc/self/exe"))
    }

    /// A component ready to run. The error says why it does not compile.
    pub(super) fn compile(&self, engine: &Engine, wasm: &[u8]) -> std::result::Result<Component, String> {
        match self {
            Self::Here => here(engine, wasm),
            Self::Program(program) => {
                let code = child(program, wasm)?;
                cache::revive(&engine.inner, &code).map_err(|error| format!("its code cannot be used: {error:#}"))
            }
        }
    }
}

fn here(engine: &Engine, wasm: &[u8]) -> std::result::Result<Component, String> {
    Component::from_binary(&engine.inner, wasm).map_err(|error| {
        let text = format!("{error:#}");
        if text.contains("component model async") {
            format!("uses asynchronous component features, which this host does not offer: build it with synchronous bindings ({text})")
        } else {
            format!("does not compile: {text}")
        }
    })
}

fn child(program: &PathBuf, wasm: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be compiled: {}: {error}", program.display());
    let mut child = Command::new(program)
        .arg(COMMAND)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let answer = converse(&mut child, wasm);
    if answer.is_err() {
        // it may have ended by itself
        let _ = child.kill();
    }
    let status = child.wait().map_err(cannot)?;
    let (code, said) = answer.map_err(cannot)?;
    if status.success() { Ok(code) } else { Err(why(status, &said)) }
}

/// The child reads everything before it writes anything, and writes errors only where it writes no code.
fn converse(child: &mut Child, wasm: &[u8]) -> std::io::Result<(Vec<u8>, String)> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(wasm) {
            // it has ended: what it says counts
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let (mut code, mut said) = (Vec::new(), Vec::new());
    if let Some(output) = child.stdout.take() {
        output.take(CODE).read_to_end(&mut code)?;
    }
    if let Some(words) = child.stderr.take() {
        words.take(64 << 10).read_to_end(&mut said)?;
    }
    Ok((code, String::from_utf8_lossy(&said).into_owned()))
}

fn why(status: ExitStatus, said: &str) -> String {
    match status.signal() {
        Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() => {
            format!("takes more than {TIME} s of CPU time to compile: split its large functions, or optimise for size")
        }
        Some(signal) => format!(
            "cannot be compiled: the compiler was ended by signal {signal}; it may take {TIME} s of CPU time and {} GiB of memory",
            MEMORY >> 30
        ),
        None if status.code() == Some(i32::from(Kind::Config.exit_code())) => said.trim_end().to_owned(),
        None => format!("cannot be compiled: the compiler ended with {status}: {}", clean(said.trim_end())),
    }
}

/// The child: compiles what comes on standard input.
pub fn compile_for_parent() -> Result<()> {
    confine()?;
    let failed = |what: &str, error: std::io::Error| Error::new(Kind::Unavailable, format!("cannot {what}: {error}"));
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(|error| failed("read the component", error))?;
    let engine = Engine::new()?;
    let code = here(&engine, &wasm)
        .and_then(|component| component.serialize().map_err(|error| format!("does not compile: {error:#}")));
    match code {
        Ok(code) => std::io::stdout().lock().write_all(&code).map_err(|error| failed("hand over the code", error)),
        Err(why) => {
            eprint!("{why}");
            std::process::exit(i32::from(Kind::Config.exit_code()));
        }
    }
}

/// What is asked for is less than what this process may have, so that it is refused only where it holds already.
fn confine() -> Result<()> {
    let limits = [(Resource::Cpu, TIME), (Resource::As, MEMORY), (Resource::Core, 0)];
    for (resource, most) in limits {
        let may = rustix::process::getrlimit(resource);
        let most = may.maximum.map_or(most, |maximum| maximum.min(most));
        // one more second is what the kernel waits with a signal that cannot be caught
        let maximum = if resource == Resource::Cpu { most.saturating_add(1) } else { most };
        let maximum = may.maximum.map_or(maximum, |hard| hard.min(maximum));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(maximum) })
            .map_err(|error| Error::new(Kind::Internal, format!("cannot limit {resource:?}: {error}")))?;
    }
    rustix::process::nice(10).map_err(|error| Error::new(Kind::Internal, format!("cannot give way: {error}")))?;
    Ok(())
}
