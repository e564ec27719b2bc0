//! Results as JSON lines on standard output, for development.
//!
//! What it owes: whole lines, and back-pressure, because it waits for whoever reads the pipe. It promises nothing beyond that.
//! Left to others: what else the process prints; a terminal shows both.

use std::{
    io::{self, Write},
    sync::Arc,
};

use crate::{
    error::{Error, Kind, Result},
    record::{Batch, RowReject},
    sink::{Prepared, Promise, Sink, Token, Writer, json_lines},
    source::Pending,
    task,
};

/// Where the lines go: standard output, or what a test gives instead.
pub type Output = Arc<dyn Fn(&[u8]) -> io::Result<()> + Send + Sync>;

/// Writes lines.
pub struct StdoutSink(Output);

impl StdoutSink {
    /// To standard output. A batch is written under one lock, so that lines of partitions do not mix.
    pub fn new() -> Self {
        Self::to(Arc::new(|lines| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(lines)?;
            stdout.flush()
        }))
    }

    /// To something else.
    pub fn to(output: Output) -> Self {
        Self(output)
    }
}

impl Default for StdoutSink {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for StdoutSink {
    fn promise(&self) -> Promise {
        Promise::BestEffort
    }

    fn recover(&mut self, _writer: Writer, _epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        let output = self.0.clone();
        Box::pin(async move {
            let (lines, rejects) = json_lines::lines(&batch.fields)?;
            let written = task::blocking(move || output(&lines)).await;
            written
                .map(|()| rejects)
                .map_err(|failed| Error::new(Kind::Unavailable, format!("standard output cannot be written: {failed}")))
        })
    }

    fn prepare(&mut self, _epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(std::future::ready(Ok(Prepared::default())))
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        let message = format!("sink `{}` makes no tokens, but there is one of epoch {}", token.sink, token.epoch);
        Box::pin(std::future::ready(Err(Error::new(Kind::State, message))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Mutex;

    use super::*;
    use crate::contract::{self, SinkRig};

    #[derive(Default)]
    struct Rig(Arc<Mutex<Vec<u8>>>);

    impl SinkRig for Rig {
        fn reset(&mut self) -> Pending<'_, Result<()>> {
            self.0.lock().unwrap().clear();
            Box::pin(std::future::ready(Ok(())))
        }

        fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
            let to = self.0.clone();
            let output: Output = Arc::new(move |lines| {
                to.lock().unwrap().extend(lines);
                Ok(())
            });
            Box::pin(std::future::ready(Ok(Box::new(StdoutSink::to(output)) as Box<dyn Sink>)))
        }

        fn shown(&mut self) -> Pending<'_, Result<Vec<serde_json::Value>>> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let rows = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            Box::pin(std::future::ready(Ok(rows)))
        }
    }

    #[tokio::test]
    async fn keeps_the_contract_of_sinks() {
        assert_eq!(contract::sink(&mut Rig::default()).await, Ok(()));
    }

    #[tokio::test]
    async fn a_closed_pipe_is_said() {
        let mut sink = StdoutSink::to(Arc::new(|_| Err(io::ErrorKind::BrokenPipe.into())));
        let failed = sink.write(&contract::rows(0..1)).await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Unavailable);
    }
}
