//! Other people's clients as judges: boto3 and the AWS CLI use every call of the emulator.
//!
//! `PELTON_JUDGES` names a Python environment that has both; `cargo xtask test` makes it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use pelton_emulator::{Options, Running, start};

fn programs() -> PathBuf {
    let judges = std::env::var_os("PELTON_JUDGES")
        .expect("PELTON_JUDGES names a Python environment with boto3 and awscli: run cargo xtask test");
    PathBuf::from(judges).join("bin")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges").join(name)
}

async fn judge(mut command: Command) {
    let path = std::env::join_paths(
        std::iter::once(programs()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    command.env("PATH", path.unwrap());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
}

async fn emulator(tls: bool) -> Running {
    let tls_listen = tls.then(|| ([127, 0, 0, 1], 0).into());
    start(Options { tls_listen, ..Options::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_uses_every_call() {
    let emulator = emulator(false).await;
    let mut python = Command::new(programs().join("python3"));
    python.arg(script("boto3_every_call.py")).arg(format!("http://{}", emulator.addr()));
    judge(python).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_uses_every_call_over_tls() {
    let emulator = emulator(true).await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, emulator.certificate_pem().unwrap()).unwrap();
    let mut python = Command::new(programs().join("python3"));
    python.arg(script("boto3_every_call.py")).arg(format!("https://{}", emulator.tls_addr().unwrap()));
    python.env("AWS_CA_BUNDLE", &bundle).env("SSL_CERT_FILE", &bundle);
    judge(python).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_uses_every_call_it_has() {
    let emulator = emulator(false).await;
    let mut bash = Command::new("bash");
    bash.arg(script("aws_cli_every_call.sh")).arg(format!("http://{}", emulator.addr()));
    judge(bash).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_uses_dynamodb() {
    let emulator = emulator(false).await;
    let mut python = Command::new(programs().join("python3"));
    python.arg(script("boto3_dynamodb.py")).arg(format!("http://{}", emulator.addr()));
    judge(python).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_uses_dynamodb() {
    let emulator = emulator(false).await;
    let mut bash = Command::new("bash");
    bash.arg(script("aws_cli_dynamodb.sh")).arg(format!("http://{}", emulator.addr()));
    judge(bash).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_sees_every_fault() {
    let emulator = emulator(false).await;
    let mut python = Command::new(programs().join("python3"));
    python.arg(script("boto3_faults.py")).arg(format!("http://{}", emulator.addr()));
    judge(python).await;
    emulator.stop().await;
}
