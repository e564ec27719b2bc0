//! The object store and the lease table as workers reach them: over a network that fails.

use std::ops::Range;

use bytes::Bytes;
use futures::FutureExt;
use pelton::{
    error::Result,
    lease::{Change, Expect, Lease, LeaseTable, Updated},
    objects::{Created, Objects},
    source::Pending,
};

use super::{network::Caller, world::lock};

/// Objects, as one worker reaches them.
pub struct SimObjects(pub Caller);

/// Leases, as one worker reaches them.
pub struct SimLeases(pub Caller);

/// What a service in memory answers at once.
fn now<T>(answer: Pending<'_, T>) -> T {
    answer.now_or_never().expect("memory does not wait")
}

impl Objects for SimObjects {
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>> {
        let named = name.to_owned();
        Box::pin(async move {
            let created = self.0.call("create", name, move |world| {
                let created = now(world.objects.create(&named, bytes.clone()))?;
                if created == Created::Done {
                    lock(&world.monitor).created(world, &named, &bytes);
                }
                Ok(created)
            });
            created.await?
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>> {
        let named = name.to_owned();
        Box::pin(async move { self.0.call("read", name, move |world| now(world.objects.read(&named, part))).await? })
    }

    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>> {
        let (from, after) = (prefix.to_owned(), after.to_owned());
        Box::pin(async move { self.0.call("list", prefix, move |world| now(world.objects.list(&from, &after))).await? })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>> {
        let named = name.to_owned();
        Box::pin(async move {
            let deleted = self.0.call("delete", name, move |world| {
                lock(&world.monitor).deleted(world, &named);
                now(world.objects.delete(&named))
            });
            deleted.await?
        })
    }

    fn place(&self) -> String {
        "the simulated store".to_owned()
    }
}

impl LeaseTable for SimLeases {
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>> {
        Box::pin(async move { self.0.call("scan leases", "", |world| now(world.leases.list())).await? })
    }

    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>> {
        let named = key.to_owned();
        Box::pin(async move { self.0.call("get lease", key, move |world| now(world.leases.get(&named))).await? })
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>> {
        let row = lease.clone();
        Box::pin(
            async move { self.0.call("new lease", &lease.key, move |world| now(world.leases.create(&row))).await? },
        )
    }

    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>> {
        let (named, expect, change) = (key.to_owned(), expect.clone(), change.clone());
        let detail = match &change.owner {
            Some(owner) => format!("{key} owner {}", owner.as_deref().unwrap_or("nobody")),
            None => key.to_owned(),
        };
        Box::pin(async move {
            let act = move |world: &super::world::World| now(world.leases.update(&named, &expect, &change));
            self.0.call("lease", &detail, act).await?
        })
    }

    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>> {
        let (named, expect) = (key.to_owned(), expect.clone());
        Box::pin(async move {
            let act = move |world: &super::world::World| now(world.leases.delete(&named, &expect));
            self.0.call("drop lease", key, act).await?
        })
    }
}
