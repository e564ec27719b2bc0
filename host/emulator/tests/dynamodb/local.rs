//! DynamoDB Local as a process of this test.
//!
//! Tests of the host use this file too.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

/// Ends with this value.
pub struct Local {
    pub addr: SocketAddr,
    process: Child,
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Local {
    /// None, with words, where nobody has fetched the judges.
    pub async fn start() -> Option<Self> {
        let Some(judges) = std::env::var_os("PELTON_JUDGES") else {
            eprintln!("skipped: PELTON_JUDGES names no folder with DynamoDB Local; `cargo xtask test` makes it");
            return None;
        };
        let folder = PathBuf::from(judges).join("dynamodb");
        assert!(folder.join("jars").is_dir(), "{} has no jars: run cargo xtask test", folder.display());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-Djava.library.path=jars", "-cp", "jars/*"])
            .arg("com.amazonaws.services.dynamodbv2.local.main.ServerRunner")
            .args(["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &free.port().to_string()])
            // It listens on every address and has no option for less.
            .env("LD_PRELOAD", folder.join("loopback.so"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let local = Self { addr: free, process: java.spawn().expect("java starts: run cargo xtask doctor") };
        local.until_it_answers().await;
        Some(local)
    }

    #[allow(clippy::disallowed_methods, reason = "the host's tests, too, wait for a process here")]
    async fn until_it_answers(&self) {
        for _ in 0..600 {
            if TcpStream::connect(self.addr).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("DynamoDB Local does not answer");
    }
}
