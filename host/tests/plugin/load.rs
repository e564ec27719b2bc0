//! A file that is no plugin of ours is refused when it is loaded, with what to do.

use pelton::{
    clock::SystemClock,
    error::Kind,
    plugin::{Limits, Plugins, TracingLog, World},
};

use super::{context, guest, plugins, quick};

/// A component that imports one instance by name.
fn importing(name: &str) -> Vec<u8> {
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    wasm.extend([7, 3, 1, 0x42, 0]);
    let length = u8::try_from(name.len()).unwrap();
    wasm.extend([10, length + 5, 1, 0, length]);
    wasm.extend(name.as_bytes());
    wasm.extend([5, 0]);
    wasm
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let (plugins, _) = plugins(Limits { component: 1 << 20, ..quick() });
    let files = importing("wasi:filesystem/types@0.2.6");
    let network = importing("wasi:sockets/tcp@0.2.6");
    let strange = importing("acme:secret/door@1.0.0");
    let cases: [(&[u8], &str); 10] = [
        (b"\0asm\x01\0\0\0", "core module, not a component"),
        (b"\x7fELF\x02\x01", "compiled code"),
        (b"hello", "is not WebAssembly"),
        (b"", "is not WebAssembly"),
        (b"\0asm\x0d\0\x01\0\xff\xff", "does not compile"),
        (b"\0asm\x0d\0\x01\0", "exports no `pelton:plugin/lifecycle`"),
        (&files, "`wasi:filesystem/types@0.2.6` (plugins have no files"),
        (&network, "`wasi:sockets/tcp@0.2.6` (plugins have no network"),
        (&strange, "`acme:secret/door@1.0.0` (unknown to this host)"),
        (&[0; 2 << 20], "is larger than 1048576 bytes"),
    ];
    for (index, (bytes, expected)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("{index}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        let error = plugins.load(&path).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(expected), "expected `{expected}`, got `{error}`");
        assert!(error.to_string().contains(&format!("{index}.wasm")), "{error}");
    }
    for path in [folder.path().join("missing.wasm"), folder.path().to_owned()] {
        assert_eq!(plugins.load(&path).await.unwrap_err().kind(), Kind::Config);
    }
}

#[tokio::test]
async fn a_plugin_of_another_world_is_refused_for_a_step() {
    let (plugins, _) = plugins(quick());
    let stats = plugins.load(&guest("stats")).await.unwrap();
    assert_eq!(stats.world(), World::Aggregator);
    let error = stats.transformer(context("{}")).await.unwrap_err();
    assert!(error.to_string().contains("step `step` needs a transformer, its plugin is a aggregator"), "{error}");
}

#[tokio::test]
async fn the_second_start_finds_the_compiled_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let entries = || {
        let found = std::fs::read_dir(folder.path().join("plugins")).unwrap();
        let mut names: Vec<_> = found
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        names.sort();
        names
    };
    let load = async || {
        let cache = Some(folder.path().to_owned());
        let plugins =
            Plugins::with_log(cache, quick(), std::sync::Arc::new(TracingLog), SystemClock::shared()).unwrap();
        plugins.load(&guest("hostile_plugin")).await.unwrap()
    };
    let first = load().await;
    let written = entries();
    assert_eq!(written.len(), 1);
    let name = written[0].0.to_str().unwrap();
    assert!(name.starts_with(first.digest()) && first.digest().len() == 64, "{name}");
    let second = load().await;
    assert_eq!(entries(), written, "the compiled plugin was read, not written again");
    assert!(second.describe(r#"{"do": "ok"}"#).await.is_ok());
}
