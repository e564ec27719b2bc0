//! What every store of objects promises.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;

use super::Broken;
use crate::{
    error::Error,
    objects::{Created, Objects},
};

/// Those who race for one name.
const RACERS: usize = 10;

/// Tries every promise below `prefix`, where nothing may be yet. `rounds` is how often ten race for one name.
pub async fn objects(objects: &dyn Objects, prefix: &str, rounds: usize) -> Result<(), Broken> {
    whole_or_absent(objects, prefix).await?;
    listed_in_order(objects, prefix).await?;
    for name in ["", "/", "a//b", "../a", "a/../b", ".a", "a/", "a b", "a\nb", "ä"] {
        if objects.create(name, Bytes::from_static(b"x")).await.is_ok() {
            return Err(format!("`{name}` names an object"));
        }
    }
    for round in 0..rounds {
        one_winner(objects, &format!("{prefix}/race/{round:04}")).await?;
    }
    Ok(())
}

fn said(what: &str) -> impl Fn(Error) -> Broken {
    let what = what.to_owned();
    move |failed| format!("{what}: {failed}")
}

async fn whole_or_absent(objects: &dyn Objects, prefix: &str) -> Result<(), Broken> {
    let name = format!("{prefix}/one");
    let bytes: Bytes = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    if objects.read(&name, None).await.map_err(said("reading nothing"))?.is_some() {
        return Err("an object is there that nobody made".to_owned());
    }
    if objects.create(&name, bytes.clone()).await.map_err(said("create"))? != Created::Done {
        return Err("the first create finds an object".to_owned());
    }
    if objects.create(&name, Bytes::from_static(b"other")).await.map_err(said("second create"))? != Created::Exists {
        return Err("a second create of one name succeeds".to_owned());
    }
    if objects.read(&name, None).await.map_err(said("read"))? != Some(bytes.clone()) {
        return Err("what was created is not what is read".to_owned());
    }
    if objects.read(&name, Some(1000..3003)).await.map_err(said("read a part"))? != Some(bytes.slice(1000..3003)) {
        return Err("a part is not the part that was asked for".to_owned());
    }
    for _ in 0..2 {
        objects.delete(&name).await.map_err(said("delete"))?;
    }
    if objects.read(&name, None).await.map_err(said("read what was deleted"))?.is_some() {
        return Err("what was deleted is there".to_owned());
    }
    match objects.create(&name, Bytes::new()).await.map_err(said("create again"))? {
        Created::Done => Ok(()),
        Created::Exists => Err("what was deleted cannot be made again".to_owned()),
    }
}

async fn listed_in_order(objects: &dyn Objects, prefix: &str) -> Result<(), Broken> {
    let mut made: Vec<String> = (0..40).map(|n| format!("{prefix}/list/{}/{:020}", n % 3, n * 7)).collect();
    for name in &made {
        objects.create(name, Bytes::from_static(b"x")).await.map_err(said("create"))?;
    }
    made.sort_unstable();
    let all = objects.list(&format!("{prefix}/list/"), "").await.map_err(said("list"))?;
    if all != made {
        return Err(format!("listed {} of {} names, or in another order", all.len(), made.len()));
    }
    let rest = objects.list(&format!("{prefix}/list/"), &made[9]).await.map_err(said("list after"))?;
    if rest != made[10..] {
        return Err("a listing after a name does not begin after it".to_owned());
    }
    match objects.list(&format!("{prefix}/nothing/"), "").await.map_err(said("list nothing"))? {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{} names where nothing is", some.len())),
    }
}

async fn one_winner(objects: &dyn Objects, name: &str) -> Result<(), Broken> {
    let tries = (0..RACERS).map(|racer| objects.create(name, Bytes::from(format!("racer {racer}"))));
    let ends = join_all(tries).await;
    let mut winners = BTreeSet::new();
    for (racer, end) in ends.into_iter().enumerate() {
        if end.map_err(said("create in a race"))? == Created::Done {
            winners.insert(format!("racer {racer}"));
        }
    }
    let stands = objects.read(name, None).await.map_err(said("read after a race"))?;
    let stands = stands.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if winners.len() == 1 && winners.contains(&stands) {
        return Ok(());
    }
    Err(format!("{name}: `{stands}` stands, and these won: {winners:?}"))
}
