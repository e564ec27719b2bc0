//! The contract of objects, held by the implementations that need nothing outside.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Objects, folder::FolderObjects, memory::MemoryObjects};
use crate::contract;

#[tokio::test]
async fn memory_keeps_the_contract() {
    assert_eq!(contract::objects(&MemoryObjects::default(), "job", 3).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let objects = FolderObjects::open(&folder.path().join("store")).unwrap();
    assert_eq!(contract::objects(&objects, "job", 30).await, Ok(()));
    let left = std::fs::read_dir(folder.path().join("store/.aside")).unwrap().count();
    assert_eq!(left, 0, "nothing is left beside the objects");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = FolderObjects::open(&folder.path().join("file")).unwrap_err().to_string();
    assert!(refused.contains("cannot be made") && refused.contains("file"), "{refused}");
    let objects = FolderObjects::open(&folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("store/job"), "").unwrap();
    let refused = objects.create("job/a", bytes::Bytes::new()).await.unwrap_err().to_string();
    assert!(refused.contains("`job/a` cannot be created"), "{refused}");
}
