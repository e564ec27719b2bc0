//! A server of S3 with conditional writes: versitygw as a process of this test, on loopback, over a folder that ends with it.
//!
//! Its keys are those that Pelton uses for an endpoint on this machine where nobody has named others.
//! Left to others: what is asked of it, and connections that break (`proxy`).

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pelton::{
    aws::Settings,
    clock,
    objects::s3::{Options, S3Objects},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, runtime::Handle};

/// The one bucket that is there.
pub const BUCKET: &str = "bucket";
/// What Pelton signs with where nobody has named anything else.
const KEY: &str = "pelton";

/// Ends with this value.
pub struct Server {
    pub addr: SocketAddr,
    secret: &'static str,
    program: PathBuf,
    folder: TempDir,
    process: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    /// None, with words, where nobody has fetched the judges.
    pub async fn start() -> Option<Self> {
        Self::with_secret(KEY).await
    }

    /// One that knows another secret than ours.
    pub async fn with_secret(secret: &'static str) -> Option<Self> {
        let judges = std::env::var_os("PELTON_JUDGES").map(PathBuf::from);
        let Some(program) = judges.map(|judges| judges.join("s3/versitygw")).filter(|program| program.is_file()) else {
            eprintln!(
                "skipped: there is no S3 server in PELTON_JUDGES; `cargo xtask test` builds it where there is Go"
            );
            return None;
        };
        // It keeps what it knows of an object in extended attributes: a disk has them, a folder in memory perhaps not.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { addr, secret, program, folder, process: None };
        server.start_again().await;
        Some(server)
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// At once, whatever it is doing. Its objects stay.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// At the same place, over the same objects.
    pub async fn start_again(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["--quiet", "--access", KEY, "--secret", self.secret, "--port", &self.addr.to_string()]);
        command.arg("posix").arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("what was fetched starts"));
        for _ in 0..600 {
            if TcpStream::connect(self.addr).await.is_ok() {
                return;
            }
            // paces: the next look whether it answers
            clock::sleep(Duration::from_millis(50)).await;
        }
        panic!("the S3 server does not answer");
    }

    /// Somebody removes everything that is in the bucket.
    pub fn empty(&self) {
        let bucket = self.folder.path().join(BUCKET);
        for entry in fs::read_dir(bucket).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
}

/// A client with connections of its own.
pub async fn client(endpoint: &str, bucket: &str, prefix: &str) -> S3Objects {
    let aws = Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() };
    let options = Options { bucket: bucket.to_owned(), prefix: prefix.to_owned(), aws };
    S3Objects::connect(options, Handle::current()).await.unwrap()
}
