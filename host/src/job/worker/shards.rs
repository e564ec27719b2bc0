//! The shards of a job as a worker knows them: what is listed, what manifests say, and what must end before what.
//!
//! The rule: the partition of a shard may begin only after the seals of all its parents that were ever read. A parent that nobody lists
//! and that has no manifest is gone, and was never read.

use std::collections::BTreeMap;

use crate::{checkpoint::manifest::Manifest, lease::Lease, planted, record::ShardId, source::Shard, state::HashRange};

/// A shard of a source, by the source's name.
pub type Id = (String, ShardId);

/// A shard as the worker knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// as it is listed
    pub shard: Shard,
    /// what became of it
    pub state: State,
}

/// What became of a shard.
#[derive(Clone, Debug)]
pub enum State {
    /// nothing of it is done here, as far as is known
    Open,
    /// it has manifests, and is not sealed, as far as is known
    Begun,
    /// another application has read it to its end; here it was never read
    EndedElsewhere,
    /// this was its last manifest
    Sealed(Box<Manifest>),
}

impl Known {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Begun)
    }
}

/// Every shard that was ever heard of.
#[derive(Clone, Debug, Default)]
pub struct Shards(BTreeMap<Id, Known>);

impl Shards {
    /// A shard that a source lists or a parent names.
    pub fn discover(&mut self, source: &str, shard: Shard) {
        let id = (source.to_owned(), shard.id.clone());
        self.0.entry(id).or_insert(Known { shard, state: State::Open });
    }

    /// The manifest of a shard's partition: it names the shard, and its children where it is sealed.
    pub fn learn(&mut self, manifest: &Manifest) {
        for (source, progress) in &manifest.shards {
            for (shard, progress) in progress {
                let HashRange { from, to } = manifest.range;
                let shard = Shard { id: shard.clone(), parents: progress.parents.clone(), hash_range: (from, to) };
                let id = (source.clone(), shard.id.clone());
                let known = self.0.entry(id).or_insert(Known { shard, state: State::Open });
                known.state = match (&manifest.sealed, &known.state) {
                    (Some(_), _) => State::Sealed(Box::new(manifest.clone())),
                    (None, State::Open) => State::Begun,
                    (None, other) => other.clone(),
                };
            }
            manifest.sealed.iter().flatten().for_each(|child| self.discover(source, child.clone()));
        }
    }

    /// One shard.
    pub fn get(&self, id: &Id) -> Option<&Known> {
        self.0.get(id)
    }

    /// The shard that a lease row is for.
    pub fn find(&self, source: &str, key: &str) -> Option<Id> {
        let id = (source.to_owned(), ShardId::new(key));
        self.0.contains_key(&id).then_some(id)
    }

    /// There are manifests of it, also where none names it, as after it was set aside.
    pub fn begun(&mut self, id: &Id) {
        if let Some(known) = self.0.get_mut(id).filter(|known| matches!(known.state, State::Open)) {
            known.state = State::Begun;
        }
    }

    /// A lease row says that this was read to its end, and there is no manifest of it.
    pub fn ended_elsewhere(&mut self, id: &Id) {
        if let Some(known) = self.0.get_mut(id).filter(|known| matches!(known.state, State::Open)) {
            known.state = State::EndedElsewhere;
        }
    }

    /// A shard without a row and without a manifest, of which a child has begun: it was read to its end before, and so were its parents.
    pub fn lost_its_row(&self, source: &str, rows: &[Lease]) -> Option<Id> {
        let row = |id: &Id| rows.iter().find(|row| row.key == id.1.as_str());
        let begun = |id: &Id, known: &Known| match known.state {
            State::Open => row(id).is_some_and(|row| row.checkpoint.is_begun()),
            State::Begun | State::Sealed(_) | State::EndedElsewhere => true,
        };
        let child_begun = |parent: &Id| {
            let is_child = |known: &Known| known.shard.parents.contains(&parent.1);
            self.0.iter().any(|(id, known)| id.0 == parent.0 && is_child(known) && begun(id, known))
        };
        let is_lost = |id: &Id, known: &Known| {
            id.0 == source && matches!(known.state, State::Open) && row(id).is_none() && child_begun(id)
        };
        self.0.iter().find(|(id, known)| is_lost(id, known)).map(|(id, _)| id.clone())
    }

    /// Shards that were begun here and have no row, of which a child has begun elsewhere: another application has read them to their end, and
    /// has removed their rows.
    pub fn ended_without_a_row(&self, source: &str, rows: &[Lease]) -> Vec<(Id, Shard)> {
        let row = |id: &Id| rows.iter().find(|row| row.key == id.1.as_str());
        let begun_elsewhere = |id: &Id, known: &Known| match known.state {
            State::Open => row(id).is_some_and(|row| row.checkpoint.is_begun()),
            State::EndedElsewhere => true,
            State::Begun | State::Sealed(_) => false,
        };
        let has_ended = |parent: &Id| {
            let is_child = |id: &Id, known: &Known| id.0 == parent.0 && known.shard.parents.contains(&parent.1);
            self.0.iter().any(|(id, known)| is_child(id, known) && begun_elsewhere(id, known))
        };
        let own = self.0.iter().filter(|(id, known)| id.0 == source && matches!(known.state, State::Begun));
        let ended = own.filter(|(id, _)| row(id).is_none() && has_ended(id));
        ended.map(|(id, known)| (id.clone(), known.shard.clone())).collect()
    }

    /// Every shard.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &Known)> {
        self.0.iter()
    }

    /// Shards that are not sealed, as far as is known.
    pub fn open(&self) -> impl Iterator<Item = (&Id, &Shard)> {
        self.0.iter().filter(|(_, known)| known.is_open()).map(|(id, known)| (id, &known.shard))
    }

    /// The parents of a shard that are not sealed, as far as is known.
    pub fn open_parents(&self, id: &Id) -> Vec<Id> {
        if planted::is("child-before-parent") {
            return Vec::new();
        }
        let parents = self.0.get(id).map_or(&[][..], |known| &known.shard.parents);
        let ids = parents.iter().map(|parent| (id.0.clone(), parent.clone()));
        ids.filter(|parent| self.0.get(parent).is_some_and(Known::is_open)).collect()
    }

    /// The last manifests of a shard's parents.
    pub fn sealed_parents(&self, id: &Id) -> Vec<Manifest> {
        let parents = self.0.get(id).map_or(&[][..], |known| &known.shard.parents);
        let sealed = |parent: &ShardId| match &self.0.get(&(id.0.clone(), parent.clone()))?.state {
            State::Sealed(manifest) => Some((**manifest).clone()),
            _ => None,
        };
        parents.iter().filter_map(sealed).collect()
    }

    /// Whether another shard names this one as a parent: it is closed, and has an end.
    pub fn is_closed(&self, id: &Id) -> bool {
        self.0.iter().any(|((source, _), other)| *source == id.0 && other.shard.parents.contains(&id.1))
    }

    /// Whether a child names a parent that nobody has heard of.
    pub fn names_unknown(&self, source: &str, children: &[Shard]) -> bool {
        let unknown = |parent: &ShardId| !self.0.contains_key(&(source.to_owned(), parent.clone()));
        children.iter().flat_map(|child| &child.parents).any(unknown) && !planted::is("unknown-parent-ignored")
    }
}

/// The name of a shard's partition.
pub fn name((source, shard): &Id) -> String {
    format!("{source}/{shard}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;
    use crate::{checkpoint::manifest::ShardProgress, lease::Checkpoint};

    fn id(shard: &str) -> Id {
        ("in".to_owned(), ShardId::new(shard))
    }

    /// A parent with two children, and a child of the first.
    fn family() -> Shards {
        let mut shards = Shards::default();
        for (shard, parents) in [("p", &[][..]), ("a", &["p"]), ("b", &["p"]), ("aa", &["a"])] {
            let parents = parents.iter().map(|parent| ShardId::new(*parent)).collect();
            shards.discover("in", Shard { id: ShardId::new(shard), parents, hash_range: (0, u128::MAX) });
        }
        shards
    }

    /// A manifest of a shard that goes on.
    fn begun(shard: &str) -> Manifest {
        let progress = BTreeMap::from([(ShardId::new(shard), ShardProgress::default())]);
        Manifest { shards: BTreeMap::from([("in".to_owned(), progress)]), ..Manifest::default() }
    }

    fn row(shard: &str, begun: bool) -> Lease {
        let at = Checkpoint::At { sequence: crate::record::Sequence::from_u64(7), sub_sequence: 0 };
        Lease::new(shard, if begun { at } else { Checkpoint::TrimHorizon })
    }

    fn ended(shards: &Shards, rows: &[Lease]) -> Vec<Id> {
        shards.ended_without_a_row("in", rows).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn a_removed_row_means_an_end_once_a_child_has_begun_elsewhere() {
        let mut shards = family();
        shards.learn(&begun("p"));
        assert_eq!(ended(&shards, &[row("a", false), row("b", false)]), []);
        assert_eq!(ended(&shards, &[row("p", true), row("a", true)]), []);
        assert_eq!(ended(&shards, &[row("a", false), row("b", true)]), [id("p")]);
        // the child's row was removed too
        let rows = [row("aa", true)];
        assert_eq!(shards.lost_its_row("in", &rows), Some(id("a")));
        shards.ended_elsewhere(&id("a"));
        assert_eq!(shards.lost_its_row("in", &rows), None);
        assert!(matches!(shards.get(&id("a")).unwrap().state, State::EndedElsewhere));
        assert_eq!(ended(&shards, &rows), [id("p")]);
    }

    #[test]
    fn a_child_that_begun_here_says_nothing_of_its_parent() {
        let mut shards = family();
        shards.learn(&begun("p"));
        shards.learn(&begun("a"));
        shards.learn(&begun("b"));
        assert_eq!(ended(&shards, &[row("a", true), row("b", true)]), []);
        assert!(shards.get(&id("p")).unwrap().is_open());
    }
}
