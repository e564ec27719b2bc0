//! Stand-ins for WASI, for guests whose language runtime imports it.
//!
//! The rule: **nothing of the machine shows through.** No environment, arguments, files or sockets; clocks stand at the batch's
//! `now-ms`, and waiting for one is over at once; randomness is the same for every instance; stdin is empty; stdout and stderr are
//! the log. So a call gives the same result again, and a guest cannot block its thread.
//! Left to others: refusing every other `wasi:` import (`package`).

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, StreamError, StreamResult,
    bindings::{
        cli::{
            environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
            terminal_stdout,
        },
        clocks::{monotonic_clock, wall_clock},
        random::{insecure, insecure_seed, random},
    },
    subscribe,
};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};

use super::{
    Guest,
    log::{Level, Log},
};

/// Longest line of stdout or stderr before it is broken.
const LINE: usize = 4 << 10;

/// Random bytes one call of the guest may ask for.
const RANDOM_BYTES: u64 = 1 << 20;

/// The seed of every instance.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the stand-ins keep for one instance.
pub(in crate::plugin) struct Wasi {
    pub(super) table: ResourceTable,
    random: u64,
}

impl Wasi {
    pub(in crate::plugin) fn new(handles: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        Self { table, random: SEED }
    }

    /// SplitMix64: small, and good enough for hash seeds and samples.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(SEED);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES {
            return Err(wasmtime::format_err!("it asked for {length} random bytes, the limit is {RANDOM_BYTES}"));
        }
        let length = length as usize;
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The interfaces that have a stand-in, by name without version.
pub(in crate::plugin) const INTERFACES: [&str; 18] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
];

/// Links every stand-in.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Own = HasSelf<Guest>;
    type Table = HasSelf<ResourceTable>;
    environment::add_to_linker::<_, Own>(linker, |guest| guest)?;
    exit::add_to_linker::<_, Own>(linker, |guest| guest)?;
    stdin::add_to_linker::<_, Own>(linker, |guest| guest)?;
    stdout::add_to_linker::<_, Own>(linker, |guest| guest)?;
    stderr::add_to_linker::<_, Own>(linker, |guest| guest)?;
    terminal_input::add_to_linker::<_, Own>(linker, |guest| guest)?;
    terminal_output::add_to_linker::<_, Own>(linker, |guest| guest)?;
    terminal_stdin::add_to_linker::<_, Own>(linker, |guest| guest)?;
    terminal_stdout::add_to_linker::<_, Own>(linker, |guest| guest)?;
    terminal_stderr::add_to_linker::<_, Own>(linker, |guest| guest)?;
    wall_clock::add_to_linker::<_, Own>(linker, |guest| guest)?;
    monotonic_clock::add_to_linker::<_, Own>(linker, |guest| guest)?;
    random::add_to_linker::<_, Own>(linker, |guest| guest)?;
    insecure::add_to_linker::<_, Own>(linker, |guest| guest)?;
    insecure_seed::add_to_linker::<_, Own>(linker, |guest| guest)?;
    error::add_to_linker::<_, Table>(linker, |guest| &mut guest.wasi.table)?;
    poll::add_to_linker::<_, Table>(linker, |guest| &mut guest.wasi.table)?;
    streams::add_to_linker::<_, Table>(linker, |guest| &mut guest.wasi.table)
}

impl environment::Host for Guest {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for Guest {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(wasmtime::format_err!("it called exit({})", u8::from(status.is_err())))
    }
    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(wasmtime::format_err!("it called exit({code})"))
    }
}

impl stdin::Host for Guest {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        Ok(self.wasi.table.push(Box::new(NoInput) as DynInputStream)?)
    }
}

impl stdout::Host for Guest {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let lines = Lines { log: self.log.clone(), stderr: false, line: Vec::new() };
        Ok(self.wasi.table.push(Box::new(lines) as DynOutputStream)?)
    }
}

impl stderr::Host for Guest {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let lines = Lines { log: self.log.clone(), stderr: true, line: Vec::new() };
        Ok(self.wasi.table.push(Box::new(lines) as DynOutputStream)?)
    }
}

impl terminal_input::Host for Guest {}
impl terminal_input::HostTerminalInput for Guest {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.wasi.table.delete(terminal)?;
        Ok(())
    }
}
impl terminal_output::Host for Guest {}
impl terminal_output::HostTerminalOutput for Guest {
    fn drop(&mut self, terminal: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        self.wasi.table.delete(terminal)?;
        Ok(())
    }
}
impl terminal_stdin::Host for Guest {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}
impl terminal_stdout::Host for Guest {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}
impl terminal_stderr::Host for Guest {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let now = u64::try_from(self.now_ms).unwrap_or(0);
        Ok(wall_clock::Datetime { seconds: now / 1000, nanoseconds: (now % 1000) as u32 * 1_000_000 })
    }
    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.now_ms).unwrap_or(0).saturating_mul(1_000_000))
    }
    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000)
    }
    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.wasi.table.push(Over)?;
        subscribe(&mut self.wasi.table, over)
    }
    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.wasi.table.push(Over)?;
        subscribe(&mut self.wasi.table, over)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.wasi.bytes(length)
    }
    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.wasi.next())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.wasi.bytes(length)
    }
    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.wasi.next())
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((SEED, !SEED))
    }
}

/// A wait that is over.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

/// A stdin at its end.
struct NoInput;

#[wasmtime_wasi::async_trait]
impl Pollable for NoInput {
    async fn ready(&mut self) {}
}

impl InputStream for NoInput {
    fn read(&mut self, _: usize) -> StreamResult<bytes::Bytes> {
        Err(StreamError::Closed)
    }
}

/// Bytes become lines of the log.
struct Lines {
    log: Log,
    stderr: bool,
    line: Vec<u8>,
}

impl Lines {
    fn end(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.line);
        if self.stderr {
            self.log.stderr(&line);
        } else {
            self.log.write(Level::Info, &line, "");
        }
        self.line.clear();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        for byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
            }
            if byte == b'\n' || self.line.len() >= LINE {
                self.end();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end();
    }
}
