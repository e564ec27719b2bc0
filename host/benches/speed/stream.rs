//! The emulator in a process of its own, so that its CPU time is not the job's.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
};

use bytes::Bytes;
use pelton::{
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
};
use pelton_emulator::{Options, store::Entry};

use super::input;

/// Shards of the stream.
const SHARDS: u32 = 4;

fn internal(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, e.to_string())
}

/// A started emulator; it ends when this is dropped, as its input ends.
pub struct Emulator {
    pub endpoint: String,
    child: Child,
    input: Option<ChildStdin>,
}

impl Emulator {
    /// Starts this program as `--emulator`, and waits until the stream is filled.
    pub fn start() -> Result<Self> {
        let program = std::env::current_exe().map_err(internal)?;
        let mut child = Command::new(program)
            .arg("--emulator")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(internal)?;
        let input = child.stdin.take();
        let mut endpoint = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut endpoint).map_err(internal)?;
        }
        Ok(Self { endpoint: endpoint.trim().to_owned(), child, input })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.input = None;
        // Nothing is left to do for a child that cannot be waited for.
        let _ = self.child.wait();
    }
}

/// The child: fills a stream with one pass, says where it listens, and serves until its input ends.
pub fn serve() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(internal)?;
    let options = Options { streams: vec![("readings".to_owned(), SHARDS)], ..Options::default() };
    let running = runtime.block_on(pelton_emulator::start(options)).map_err(internal)?;
    let now = u64::try_from(SystemClock::new().wall_us() / 1_000).map_err(internal)?;
    let readings: Vec<input::Reading> = input::readings(input::PASS).collect();
    for (number, chunk) in readings.chunks(500).enumerate() {
        let entry = |(place, reading): (usize, &input::Reading)| Entry {
            data: Bytes::from(input::encode(number * 500 + place, reading)),
            partition_key: reading.device.to_string(),
            explicit_hash_key: None,
        };
        let entries = chunk.iter().enumerate().map(entry).collect();
        running.store().put_records(now, "readings", entries).map_err(|e| internal(format!("{e:?}")))?;
    }
    println!("http://{}", running.addr());
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(internal)?;
    Ok(())
}
