//! Every registry keeps the contract: memory, a folder, the built-in server, Apicurio, and AWS Glue as the emulator speaks it; and what is no
//! clear answer is none.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pelton::{
    contract::{Broken, RegistryRig, registry},
    decode::registry::{
        ConfluentSource, FolderSource, Found, MemorySource, SchemaId, SchemaSource, Which, confluent::Options,
    },
    source::Pending,
};
use pelton_emulator::{
    faults::Rule,
    registry::{self as built_in, Auth, RunningRegistry},
};

/// The registry is filled through the contract's own call.
pub struct Written {
    pub source: Box<dyn SchemaSource>,
    pub unknown: SchemaId,
}

impl RegistryRig for Written {
    fn source(&self) -> &dyn SchemaSource {
        &*self.source
    }

    fn put<'a>(&'a mut self, subject: &'a str, text: &'a str) -> Pending<'a, Result<(), Broken>> {
        Box::pin(async move {
            match self.source.register(subject, text, false).await {
                Ok(Found::Unknown) => {}
                other => return Err(format!("{subject} is there before it was registered: {other:?}")),
            }
            let mut ids = Vec::new();
            for _ in 0..2 {
                match self.source.register(subject, text, true).await {
                    Ok(Found::Schema(registered)) => ids.push(registered.id),
                    other => return Err(format!("{subject} cannot be registered: {other:?}")),
                }
            }
            if ids[0] == ids[1] { Ok(()) } else { Err(format!("the same schema has two ids: {ids:?}")) }
        })
    }

    fn unknown(&self) -> SchemaId {
        self.unknown
    }
}

struct Memory(MemorySource, u32);

impl RegistryRig for Memory {
    fn source(&self) -> &dyn SchemaSource {
        &self.0
    }

    fn put<'a>(&'a mut self, subject: &'a str, text: &'a str) -> Pending<'a, Result<(), Broken>> {
        self.1 += 1;
        self.0 = std::mem::take(&mut self.0).with(SchemaId::Number(self.1), subject, text);
        Box::pin(std::future::ready(Ok(())))
    }

    fn unknown(&self) -> SchemaId {
        SchemaId::Number(99)
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    registry(&mut Memory(MemorySource::default(), 0)).await.unwrap();
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let source = Box::new(FolderSource::new(folder.path().to_owned()));
    registry(&mut Written { source, unknown: SchemaId::Fingerprint(7) }).await.unwrap();
}

async fn server(options: built_in::Options) -> RunningRegistry {
    let listen = ([127, 0, 0, 1], 0).into();
    built_in::start_with(built_in::Options { listen, ..options }).await.unwrap()
}

#[tokio::test]
async fn the_built_in_server_keeps_the_contract() {
    let running = server(built_in::Options::default()).await;
    let source = Box::new(ConfluentSource::new(&running.url()).unwrap());
    registry(&mut Written { source, unknown: SchemaId::Number(9999) }).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn the_built_in_server_with_tls_and_a_password_keeps_the_contract() {
    let auth = Some(Auth::Basic { user: "me".into(), password: "secret".into() });
    let running = server(built_in::Options { tls: true, auth, ..built_in::Options::default() }).await;
    let ca_pem = running.certificate_pem().map(|pem| pem.as_bytes().to_vec());
    let options = |password: &str| Options {
        // The first address is nobody's: the next is tried.
        urls: vec!["https://127.0.0.1:1".into(), running.url()],
        user: Some("me".into()),
        password: Some(password.into()),
        ca_pem: ca_pem.clone(),
        ..Options::default()
    };
    let source = Box::new(ConfluentSource::with(options("secret")).unwrap());
    registry(&mut Written { source, unknown: SchemaId::Number(9999) }).await.unwrap();
    let stranger = ConfluentSource::with(options("guessed")).unwrap();
    assert!(stranger.versions("clicks-value").await.unwrap_err().is_refusal);
    running.stop().await;
}

/// Apicurio, where it was fetched.
struct Apicurio(Child, String);

impl Apicurio {
    fn start() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("PELTON_JUDGES")?).join("apicurio");
        if !folder.join("registry").is_dir() || !folder.join("java").exists() {
            println!("skipped: Apicurio is not fetched: `cargo xtask test` does it where Java 21 or newer can be had");
            return None;
        }
        let mut command = Command::new(folder.join("java"));
        command.arg("-Xmx320m").args(
            ["http.host=127.0.0.1", "http.port=0", "management.host=127.0.0.1", "management.port=0"]
                .map(|set| format!("-Dquarkus.{set}")),
        );
        command.args(["-jar", "registry/quarkus-run.jar"]).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let url = lines.find_map(|line| {
            let line = String::from_utf8_lossy(&line.ok()?).into_owned();
            let address = line.split("Listening on: ").nth(1)?;
            Some(address.split_whitespace().next()?.trim_end_matches('.').to_owned())
        });
        // What it says later must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self(child, format!("{}/apis/ccompat/v7", url.expect("Apicurio says where it listens"))))
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn apicurio_keeps_the_contract() {
    let Some(running) = Apicurio::start() else { return };
    let source = Box::new(ConfluentSource::new(&running.1).unwrap());
    registry(&mut Written { source, unknown: SchemaId::Number(9999) }).await.unwrap();
}

/// Every way in which a registry may answer that is none.
#[tokio::test]
async fn what_is_no_clear_answer_is_none() {
    let running = server(built_in::Options::default()).await;
    let source = ConfluentSource::new(&running.url()).unwrap();
    let text = |n: u32| format!(r#"{{"type":"record","name":"R{n}","fields":[]}}"#);
    for n in 0..2 {
        assert!(matches!(source.register(&format!("s{n}"), &text(n), true).await, Ok(Found::Schema(_))));
    }
    let ids = [SchemaId::Number(1), SchemaId::Number(2)];
    for fault in ["fail", "throttle", "html", "half", "wrong-schema", "redirect", "reset"] {
        for operation in ["GetSchema", "GetVersion", "GetSchemaUses"] {
            if fault == "wrong-schema" && operation == "GetSchemaUses" {
                continue;
            }
            let rule: Rule = format!("Registry.{operation}:{fault}").parse().unwrap();
            running.faults().replace(vec![rule]);
            for id in ids {
                let answer = source.by_id(id).await;
                assert!(answer.is_err(), "{operation}:{fault}: {answer:?}");
            }
            if operation == "GetVersion" && fault != "wrong-schema" {
                let answer = source.version("s1", Which::Latest).await;
                assert!(answer.is_err(), "{operation}:{fault}: {answer:?}");
            }
        }
    }
    running.faults().replace(vec!["Registry.GetSchema:not-found".parse().unwrap()]);
    assert!(matches!(source.by_id(ids[0]).await, Ok(Found::Unknown)));
    running.faults().replace(vec!["Registry.GetSchema:delay=30000".parse().unwrap()]);
    let limit = Duration::from_secs(20);
    let answer = pelton::clock::timeout(limit, source.by_id(ids[0])).await.expect("it gives up by itself");
    assert!(answer.is_err(), "{answer:?}");
    running.faults().replace(Vec::new());
    assert!(matches!(source.by_id(ids[0]).await, Ok(Found::Schema(_))));
    pelton::clock::timeout(Duration::from_secs(10), running.stop()).await.expect("the server ends");
}
