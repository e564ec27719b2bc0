//! Calls from workers to services: each takes a while, may fail before it happens or after, and happens even if its caller is gone.

use std::{sync::Arc, time::Duration};

use pelton::error::{Error, Kind, Result};
use tokio::{sync::oneshot, time::sleep};

use crate::{process::Life, world::World};

/// Who calls.
#[derive(Clone)]
pub struct Caller {
    /// the world
    pub world: Arc<World>,
    /// the process
    pub life: Arc<Life>,
    /// its name
    pub name: Arc<str>,
}

const QUICK: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(12));
const STUCK: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));
const SLOW: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(9));

impl Caller {
    /// One call: `act` is what it does to the service. An error says nothing about whether it happened.
    pub async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        detail: &str,
        act: impl FnOnce(&World) -> T + Send + 'static,
    ) -> Result<T> {
        // what was stopped just before the call makes it when it goes on
        if self.life.is_stopped() {
            tokio::task::yield_now().await;
        }
        if self.life.is_dead() {
            return std::future::pending().await;
        }
        let (world, line) = (self.world.clone(), format!("{} {what} {detail}", self.name));
        let fails_before = world.is_away(what) || world.strikes("fail_before");
        let fails_after = !fails_before && world.strikes("fail_after");
        let way = |world: &World| {
            let (least, most) = if world.strikes("slow") { SLOW } else { QUICK };
            world.dice(|dice| dice.between(least, most))
        };
        let (mut there, back) = (way(&world), way(&world));
        if world.strikes("stuck") {
            there = world.dice(|dice| dice.between(STUCK.0, STUCK.1));
        }
        let (say, answer) = oneshot::channel();
        tokio::spawn(async move {
            sleep(there).await;
            if fails_before {
                world.note(format!("{line}: lost on the way"));
                sleep(back).await;
                return;
            }
            let done = act(&world);
            world.note(if fails_after { format!("{line}: answer lost") } else { line });
            sleep(back).await;
            if !fails_after {
                let _ = say.send(done);
            }
        });
        answer.await.map_err(|_| Error::new(Kind::Unavailable, format!("{what} {detail}: no answer")))
    }
}
