//! An S3 server of somebody else as a process, over a folder of the scene, which writes down every request.
//!
//! What it wrote down is what is counted: the requests that S3 would bill, whoever made them and however often they were tried.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Result, bail};
use pelton::clock;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// What Pelton signs with where nobody has named anything else.
const KEY: &str = "pelton";

/// Ends with this value.
pub struct Bucket {
    process: Child,
    addr: SocketAddr,
    folder: TempDir,
}

/// Requests by kind, and bytes of objects made.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    pub kinds: BTreeMap<String, u64>,
    pub bytes: u64,
}

impl Bucket {
    /// None, with words, where nobody has fetched the server.
    pub async fn start() -> Result<Option<Self>> {
        let judges = std::env::var_os("PELTON_JUDGES").map(PathBuf::from);
        let Some(program) = judges.map(|judges| judges.join("s3/versitygw")).filter(|program| program.is_file()) else {
            eprintln!("bench: there is no S3 server in PELTON_JUDGES: nothing is said of buckets");
            return Ok(None);
        };
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::create_dir_all(folder.path().join("objects/bucket"))?;
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["--quiet", "--access", KEY, "--secret", KEY, "--port", &addr.to_string(), "--access-log"]);
        command.arg(folder.path().join("log")).arg("posix").arg(folder.path().join("objects"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let bucket = Self { process, addr, folder };
        bucket.wait().await?;
        Ok(Some(bucket))
    }

    async fn wait(&self) -> Result<()> {
        for _ in 0..600 {
            if TcpStream::connect(self.addr).await.is_ok() {
                return Ok(());
            }
            clock::sleep(Duration::from_millis(50)).await;
        }
        bail!("the S3 server does not answer")
    }

    /// What a job file says of it.
    pub fn store(&self) -> String {
        format!("store: \"s3://bucket/bench\", endpoint: \"http://{}\"", self.addr)
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Result<Requests> {
        let mut requests = Requests::default();
        for line in fs::read_to_string(self.folder.path().join("log"))?.lines() {
            // as S3 writes it: `... REQUEST KEY URI STATUS ERROR BYTES-SENT OBJECT-SIZE ...`
            let fields: Vec<&str> = line.split(' ').collect();
            let Some(kind) = fields.iter().position(|field| field.starts_with("s3_")) else { continue };
            *requests.kinds.entry(fields[kind].trim_start_matches("s3_").to_owned()).or_default() += 1;
            if fields[kind] == "s3_PutObject" {
                requests.bytes += fields.get(kind + 6).and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(requests)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Requests {
    /// What came since then.
    pub fn since(&self, before: &Self) -> Self {
        let new = |(kind, now): (&String, &u64)| (kind.clone(), now - before.kinds.get(kind).copied().unwrap_or(0));
        Self { kinds: self.kinds.iter().map(new).collect(), bytes: self.bytes - before.bytes }
    }
}
