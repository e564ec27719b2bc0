//! A wire that breaks: it hands bytes on between its clients and a server, until it is told to do otherwise.
//!
//! The rule: what it is told holds at once, also for connections that are open.
//! Left to others: what the bytes mean.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use pelton::{
    clock::{Clock, SystemClock},
    task::{self, Task},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Handle,
    sync::watch,
};

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// every connection is closed at once
    Cut,
    /// nothing comes through, and nobody says so
    Silent,
    /// the server gets every request, and each answer is lost with its connection
    NoAnswers,
    /// so many bytes of each connection reach the server, then it is closed
    CutAfter(usize),
}

/// When each PutRecords went through, as its header says in plain text.
#[derive(Clone)]
struct Puts {
    seen: Arc<Mutex<Vec<Duration>>>,
    clock: Arc<dyn Clock>,
}

/// What the header of such a request holds.
const PUT: &[u8] = b"Kinesis_20131202.PutRecords";

/// Ends with this value.
pub struct Proxy {
    addr: SocketAddr,
    wire: watch::Sender<Wire>,
    puts: Puts,
    _task: Task<()>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (wire, seen) = watch::channel(Wire::Whole);
        let puts = Puts { seen: Arc::default(), clock: SystemClock::shared() };
        let noted = puts.clone();
        let task = task::spawn(&Handle::current(), async move {
            let mut connections = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                connections
                    .push(task::spawn(&Handle::current(), connection(client, server, seen.clone(), noted.clone())));
            }
        });
        Self { addr, wire, puts, _task: task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many PutRecords have gone through.
    pub fn puts(&self) -> usize {
        self.puts.seen.lock().unwrap().len()
    }

    /// For how long the last of them has been under way, at least.
    pub fn since_put(&self) -> Option<Duration> {
        let now = self.puts.clock.elapsed();
        self.puts.seen.lock().unwrap().last().map(|at| now.saturating_sub(*at))
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

/// Lives as long as the wire is as it was when it began.
async fn connection(client: TcpStream, server: SocketAddr, mut seen: watch::Receiver<Wire>, puts: Puts) {
    let wire = *seen.borrow_and_update();
    tokio::select! {
        () = carry(client, server, wire, &puts) => {}
        _ = seen.changed() => {}
    }
}

async fn carry(client: TcpStream, server: SocketAddr, wire: Wire, puts: &Puts) {
    match wire {
        Wire::Cut => return,
        Wire::Silent => std::future::pending().await,
        Wire::Whole | Wire::NoAnswers | Wire::CutAfter(_) => {}
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let most = if let Wire::CutAfter(bytes) = wire { bytes } else { usize::MAX };
    tokio::select! {
        () = pump(from_client, to_server, most, Some(puts)) => {}
        () = answers(from_server, to_client, wire) => {}
    }
}

async fn answers(mut from: OwnedReadHalf, to: OwnedWriteHalf, wire: Wire) {
    if wire == Wire::NoAnswers {
        // the first byte of an answer says that the request was done
        let _ = from.read(&mut [0]).await;
        return;
    }
    pump(from, to, usize::MAX, None).await;
}

/// Hands on so many bytes, at most, and notes what it sees.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut left: usize, puts: Option<&Puts>) {
    let mut bytes = [0; 16 << 10];
    while left > 0 {
        let most = left.min(bytes.len());
        let Ok(read @ 1..) = from.read(&mut bytes[..most]).await else { return };
        // a request begins with its head, in one piece
        if let Some(puts) = puts.filter(|_| bytes[..read].windows(PUT.len()).any(|part| part == PUT)) {
            puts.seen.lock().unwrap().push(puts.clock.elapsed());
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
        left -= read;
    }
}
