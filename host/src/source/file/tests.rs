//! Files as sources: types of cells, line numbers, gzip, damage, and the contract of sources.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::contract;

fn source(path: &Path, key: Option<&str>) -> Result<FileSource> {
    let options = Options { path: path.to_owned(), format: None, key: key.map(str::to_owned) };
    FileSource::new("in", options, Handle::current())
}

async fn read(source: &FileSource) -> Result<Vec<(String, String, String)>> {
    let mut seen = Vec::new();
    for shard in source.shards().await? {
        let mut reader = source.open(&shard.id, From::Start(Start::TrimHorizon)).await?;
        while let Event::Records { batch, .. } = reader.next().await? {
            for row in 0..batch.len() {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let key = text(batch.records.partition_key.cell(row));
                seen.push((batch.records.sequence[row].to_string(), key, text(batch.data.cell(row))));
            }
        }
    }
    Ok(seen)
}

fn row(line: &str, key: &str, data: &str) -> (String, String, String) {
    (line.to_owned(), key.to_owned(), data.to_owned())
}

#[tokio::test]
async fn lines_keep_their_numbers_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{\"k\": \"x\"}\n\n[1]\r\n{\"k\":7}").unwrap();
    let seen = read(&source(&path, Some("k")).unwrap()).await.unwrap();
    assert_eq!(seen, [row("1", "x", "{\"k\": \"x\"}"), row("3", "", "[1]"), row("4", "7", "{\"k\":7}")]);
}

#[tokio::test]
async fn cells_of_csv_are_null_number_or_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "a,b,c\n1,-2.50,007\nNA,,1e5\n\"x\ny\",\"q\"\"\",9E\nshort\n").unwrap();
    let seen = read(&source(&path, Some("a")).unwrap()).await.unwrap();
    let expected = [
        row("2", "1", r#"{"a":1,"b":-2.50,"c":"007"}"#),
        row("3", "NA", r#"{"a":null,"b":null,"c":"1e5"}"#),
        row("4", "x\ny", r#"{"a":"x\ny","b":"q\"","c":"9E"}"#),
        row("6", "", "short"),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_folder_is_one_shard_a_file_and_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(b"n\n1\n2\n3\n").unwrap();
    std::fs::write(folder.path().join("b.csv.gz"), zipped.finish().unwrap()).unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "1\n2\n\n3\n").unwrap();
    std::fs::write(folder.path().join(".hidden"), "x").unwrap();
    let source = source(folder.path(), None).unwrap();
    let names: Vec<_> = source.shards().await.unwrap().into_iter().map(|shard| shard.id.to_string()).collect();
    assert_eq!(names, ["a.jsonl", "b.csv.gz"]);
    assert_eq!(contract::source(&source).await, Ok(()));
    assert_eq!(read(&source).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_file_of_many_chunks_comes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.jsonl");
    let lines: String = (1..=3 * CHUNK_RECORDS + 5).map(|n| format!("{n}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let seen = read(&source(&path, None).unwrap()).await.unwrap();
    assert_eq!(seen.len(), 3 * CHUNK_RECORDS + 5);
    assert!(seen.iter().all(|(line, _, data)| line == data));
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("twice.csv"), "a,a\n1,2\n").unwrap();
    std::fs::write(at("nokey.csv"), "a\n1\n").unwrap();
    std::fs::write(at("open.csv"), format!("a\n\"{}", "x\n".repeat(rows::LONGEST as usize))).unwrap();
    std::fs::write(at("long.jsonl"), "x".repeat(rows::LONGEST as usize + 2)).unwrap();
    std::fs::write(at("cut.jsonl"), [0x1F, 0x8B, 8, 0]).unwrap();
    for (name, words) in [
        ("twice.csv", "names `a` twice"),
        ("nokey.csv", "no field `k`"),
        ("open.csv", "is a quote open"),
        ("long.jsonl", "line 1 is longer"),
        ("cut.jsonl", "cut.jsonl"),
    ] {
        let key = (name == "nokey.csv").then_some("k");
        let failed = read(&source(&at(name), key).unwrap()).await.unwrap_err();
        assert!(failed.to_string().contains(words), "{failed}");
    }
    assert!(source(&at("missing"), None).is_err());
}
