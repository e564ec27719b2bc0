//! One run: a seed becomes a world, faults, a fleet, a load, and a verdict.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use pelton::{
    checkpoint::{
        committer::Committer,
        ledger::{LocalLedger, RemoteLedger},
        manifest::{Guards, Swapped},
        upkeep::Upkeep,
    },
    clock::Clock,
    decode::registry::{Patience, Registry},
    error::{Kind, Result},
    job::{
        build::{DEAD_LETTERS, Given, MakePlugin, MakeSink},
        graph::Graph,
        live::Live,
        run::{Place, RunOptions, Running, Surroundings, work},
        swap::{Deployer, How, canary::Wanted},
        worker::ONE,
    },
    lease::{LeaseTable, keeper},
    objects::Objects,
    plugin::{KeyedPlugin, Limits, Plugins},
    random,
    sink::Sink,
    source::Source,
    state::memory::MemoryStore,
};
use tokio::{runtime::Handle, sync::watch, task::LocalSet, time::sleep};

use super::{
    dice::Dice,
    faults::Faults,
    load,
    outside::{
        keyed::{BAD, BAD_ONWARD, Counter, FOREIGN, LIES, ONWARD, VERSIONS, deployed},
        network::Caller,
        plugins::SimPlugins,
        schemas::SimSchemas,
        services::{SimLeases, SimObjects},
        sinks::{ExactSink, SentSink},
        source::SimSource,
    },
    process::{Ended, Life, MachineClock, Process},
    scenario::Scenario,
    verdict,
    world::{World, lock},
};

/// What is run.
pub struct Plan<'a> {
    /// everything follows from it
    pub seed: u64,
    /// which job
    pub scenario: Scenario,
    /// that job, checked
    pub graph: &'a Graph,
    /// the engine
    pub plugins: Arc<Plugins>,
    /// kinds of faults that are left out
    pub without: &'a [String],
}

/// What came of it.
pub struct Outcome {
    /// of everything that was noted
    pub hash: u64,
    /// what happened, the last lines
    pub story: Vec<String>,
    /// how often each fault fired
    pub fired: BTreeMap<&'static str, u64>,
    /// kinds of faults that could have
    pub kinds: Vec<&'static str>,
    /// every invariant that was broken
    pub broken: Vec<String>,
    /// virtual time
    pub time: Duration,
    /// manifests and claims
    pub manifests: (u64, u64),
}

/// A lease that was not renewed for so long is free.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a run may take to come to an end once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(900);

/// The step whose plugin is swapped.
const COUNTS: &str = "counts";
/// How often, of a million, each time a worker could swap.
const OFTEN: u64 = 120_000;
/// What is asked for, one as often as the other: a version, or the way back.
const ASKED: [Option<&str>; 17] = [
    Some("v1"),
    Some("v1"),
    Some("v1"),
    Some("v2"),
    Some("v2"),
    Some("v2"),
    Some(BAD),
    Some(BAD),
    Some(BAD_ONWARD),
    Some(LIES),
    Some(LIES),
    Some(FOREIGN),
    Some(ONWARD),
    None,
    None,
    None,
    None,
];
/// How often, of a million, a swap begins with a canary.
const CANARIES: u64 = 400_000;
/// Clocks jump by an hour.
const TRIAL: Duration = Duration::from_secs(86_400);

/// How long a worker may take to end when it is asked to.
const LAST: Duration = Duration::from_secs(300);

/// The engine that every run shares.
pub fn plugins() -> anyhow::Result<Arc<Plugins>> {
    Ok(Arc::new(Plugins::new(None, Limits::default())?))
}

/// Runs a plan in virtual time.
pub fn run(plan: &Plan<'_>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("an executor without threads starts");
    random::seed(Some(plan.seed));
    let outcome = LocalSet::new().block_on(&runtime, whole(plan));
    random::seed(None);
    outcome
}

/// A machine of the fleet.
struct Machine {
    name: Arc<str>,
    disk: Arc<MemoryStore>,
    clock: Arc<MachineClock>,
}

/// What actors may do to a worker while it lives.
type Lives = Rc<RefCell<BTreeMap<usize, (Arc<Life>, watch::Sender<bool>, Arc<MachineClock>)>>>;

async fn whole(plan: &Plan<'_>) -> Outcome {
    let mut dice = Dice::new(plan.seed);
    let faults = Faults::roll(&mut dice, plan.without);
    let kinds = faults.kinds();
    let workers = if plan.scenario.is_fleet() { 1 + dice.below(4) as usize } else { 1 };
    let shards = 1 + dice.below(4) as u32;
    let time = Duration::from_secs(10 + dice.below(30));
    let world = Arc::new(World::new(dice, faults, shards, plan.scenario));
    world.note(format!(
        "seed {}: {:?}, {workers} workers, {shards} shards, {time:?}, {kinds:?}",
        plan.seed, plan.scenario
    ));
    let lives: Lives = Rc::default();
    let stopping = Rc::new(RefCell::new(false));
    let fleet = (0..workers).map(|number| worker(plan, world.clone(), number, lives.clone(), stopping.clone()));
    let fleet = futures::future::join_all(fleet);
    let script = async {
        let mischief = tokio::task::spawn_local(mischief(world.clone(), lives.clone()));
        tokio::join!(load::put(world.clone(), time), load::reshard(world.clone(), time));
        mischief.abort();
        world.calm();
        load::flush(&world);
        let end = world.elapsed() + PATIENCE;
        while !verdict::is_complete(&world, plan.scenario) && !world.is_broken() {
            if world.elapsed() > end {
                world.broken(format!("not complete {PATIENCE:?} after the last fault"));
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        world.note("everybody is asked to end");
        *stopping.borrow_mut() = true;
        lives.borrow().values().for_each(|(_, stop, _)| {
            stop.send_replace(true);
        });
    };
    let over = async {
        while !*stopping.borrow() {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(LAST).await;
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(fleet, script) } => {}
        () = over => world.broken(format!("somebody has not ended {LAST:?} after being asked")),
    }
    for wrong in verdict::judge(&world, plan.scenario) {
        world.broken(wrong);
    }
    let (hash, story, fired, broken) = world.seen();
    let monitor = lock(&world.monitor);
    Outcome { hash, story, fired, kinds, broken, time: world.elapsed(), manifests: (monitor.manifests, monitor.claims) }
}

/// Stops, skews and ends workers for as long as it lives.
async fn mischief(world: Arc<World>, lives: Lives) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let chosen = {
            let lives = lives.borrow();
            let number = world.dice(|dice| dice.below(8)) as usize;
            lives
                .iter()
                .nth(number % lives.len().max(1))
                .map(|(_, (life, stop, clock))| (life.clone(), stop.clone(), clock.clone()))
        };
        if world.strikes("outage") {
            world.outage();
        }
        let Some((life, stop, clock)) = chosen else { continue };
        if world.strikes("pause") {
            let time = world.dice(|dice| dice.between(LEASE / 3, 4 * LEASE));
            world.note(format!("a worker is stopped for {time:?}"));
            life.pause(time);
        }
        if world.strikes("clock_jump") {
            let hour = 3_600_000_000i64;
            clock.jump(world.dice(|dice| dice.below(2 * hour as u64)) as i64 - hour);
        }
        if world.strikes("stop") {
            world.note("a worker is asked to end");
            stop.send_replace(true);
        }
    }
}

/// A machine and the worker on it, which is started again whenever it ends.
async fn worker(plan: &Plan<'_>, world: Arc<World>, number: usize, lives: Lives, stopping: Rc<RefCell<bool>>) {
    let drift = world.dice(|dice| dice.below(40_000)) as i64 - 20_000;
    let mut machine =
        Machine { name: format!("w{number}").into(), disk: Arc::default(), clock: Arc::new(MachineClock::new(drift)) };
    sleep(world.dice(|dice| dice.between(Duration::ZERO, Duration::from_secs(6)))).await;
    while !*stopping.borrow() {
        let (stop, stopped) = watch::channel(false);
        let life = Arc::new(Life::default());
        lives.borrow_mut().insert(number, (life.clone(), stop, machine.clock.clone()));
        world.note(format!("{} starts", machine.name));
        let caller = Caller { world: world.clone(), life: life.clone(), name: machine.name.clone() };
        let main = life_of(plan, caller, &machine, stopped);
        let ended = Process::start(world.clone(), life, machine.name.to_string(), || main).await;
        lives.borrow_mut().remove(&number);
        world.note(format!("{} ends: {ended:?}", machine.name));
        match ended {
            Ended::Died if plan.scenario.is_fleet() && world.strikes("disk_lost") => machine.disk = Arc::default(),
            Ended::Died if world.strikes("power_loss") => machine.disk.lose_power(),
            Ended::Died => {}
            Ended::Over(Ok(())) => {}
            Ended::Over(Err(failed)) => {
                if !matches!(failed.kind(), Kind::Unavailable | Kind::Fenced) {
                    world.broken(format!("{} gives up: {failed}", machine.name));
                    return;
                }
            }
        }
        if plan.scenario == Scenario::Alone && Arc::strong_count(&machine.disk) > 1 {
            world.broken("the disk of a process that has ended is still held");
        }
        sleep(world.dice(|dice| dice.between(Duration::from_millis(10), Duration::from_secs(4)))).await;
    }
}

/// What one process does.
fn life_of(
    plan: &Plan<'_>,
    caller: Caller,
    machine: &Machine,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = Result<()>> + 'static {
    let (graph, plugins, scenario) = (plan.graph.clone(), plan.plugins.clone(), plan.scenario);
    let (disk, clock): (_, Arc<dyn Clock>) = (machine.disk.clone(), machine.clock.clone());
    async move {
        let runtime = Handle::current();
        let (committer, writing) = Committer::beside(disk.clone(), &runtime);
        let ledger = LocalLedger::new(disk.clone(), committer.clone());
        let mut place = Place {
            store: disk.clone(),
            ledger: Arc::new(ledger.clone()),
            records: Arc::new(ledger),
            leases: None,
            letters: PathBuf::from("nowhere"),
            plugins: None,
        };
        if scenario.is_fleet() {
            let objects: Arc<dyn Objects> = Arc::new(SimObjects(caller.clone()));
            let upkeep = Upkeep::new("sim", objects.clone(), runtime.clone());
            let ledger = Arc::new(RemoteLedger::new("sim", objects, disk, committer.clone(), upkeep));
            let name = if scenario.is_by_shard() { "events" } else { ONE };
            let table: Arc<dyn LeaseTable> = Arc::new(SimLeases(caller.clone()));
            let worker = format!("{}-{:04x}", caller.name, random::bits() as u16);
            let options = keeper::Options { worker, duration: LEASE };
            place.ledger = ledger.clone();
            place.records = ledger;
            place.leases = Some((vec![(name.to_owned(), table)], options));
        }
        drop(committer);
        let mut given = given(&caller, &clock, &runtime);
        if scenario == Scenario::Swap {
            given.deployed = Some(Arc::new(SimPlugins::new(caller.clone(), COUNTS)));
        }
        let registry = (scenario == Scenario::Schemas).then(|| {
            lock(&caller.world.schemas).starts += 1;
            Registry::new(Box::new(SimSchemas(caller.clone())), Patience::default(), clock.clone())
        });
        let deployer: Arc<Mutex<Weak<Deployer>>> = Arc::default();
        let told = deployer.clone();
        let running: Box<dyn FnOnce(Running) + Send> =
            Box::new(move |running: Running| *lock(&told) = running.deployer);
        let live = Arc::new(Live::default());
        let around = Surroundings { plugins, registry, runtime, clock, live, running: Some(running) };
        let options = RunOptions::default();
        let ended = tokio::select! {
            biased;
            ended = work(&graph, &options, around, &given, place, stop) => ended,
            never = swaps(&caller.world, scenario, &deployer) => match never {},
        };
        writing.join().await;
        ended
    }
}

/// Swaps the plugin of this worker's job now and then, and takes that back now and then.
async fn swaps(world: &World, scenario: Scenario, deployer: &Mutex<Weak<Deployer>>) -> Infallible {
    loop {
        sleep(Duration::from_millis(700)).await;
        let deployer = lock(deployer).upgrade();
        if let Some(deployer) = &deployer {
            mend(world, deployer).await;
            end_late_canary(world, deployer).await;
        }
        let now = scenario == Scenario::Swap && world.happens("swap", OFTEN);
        let Some(deployer) = deployer.filter(|_| now) else { continue };
        if deployer.look().await.is_err() {
            continue;
        }
        // Nobody deploys over what is about to be taken back, or goes back to it.
        let seen = deployer.now().record.clone();
        let (over, Swapped { plugins, before, .. }) = (Some(seen.generation), seen.swapped);
        let is_bad = |plugins: &BTreeMap<String, String>| {
            plugins.values().any(|plugin| [BAD, BAD_ONWARD, LIES].contains(&plugin.as_str()))
        };
        if is_bad(&plugins) || before.as_ref().is_some_and(is_bad) {
            continue;
        }
        let asked = ASKED[world.dice(|dice| dice.below(ASKED.len() as u64)) as usize];
        let canary = (world.happens("canary", CANARIES) || asked == Some(LIES)).then(|| Wanted {
            percent: world.dice(|dice| 30 + 35 * dice.below(3)) as u32,
            for_ms: world.dice(|dice| 500 + dice.below(4000)),
            guards: Guards { assertion: Some(format!("by <> '{LIES}'")), ..Guards::default() },
        });
        let done = match asked {
            Some(version) => {
                deployer.swap(COUNTS, version, &How { trial: TRIAL, canary, over, ..How::default() }).await
            }
            None => deployer.roll_back(over).await,
        };
        match done {
            Ok(generation) => world.note(format!("generation {generation} is deployed")),
            Err(failed) => {
                if failed.kind() == Kind::Config {
                    world.counted(if asked.is_some() { "swap_refused" } else { "way_back_refused" });
                }
                world.note(format!("nothing is deployed: {failed}"));
            }
        }
    }
}

/// What fails and cannot be taken back any more is replaced by what goes on from its state, as a person would.
async fn mend(world: &World, deployer: &Deployer) {
    let now = deployer.now();
    if deployed(now.record.deployed(COUNTS)) == BAD_ONWARD && now.record.may_commit() {
        let how = How { trial: TRIAL, over: Some(now.record.generation), ..How::default() };
        let mended = deployer.swap(COUNTS, ONWARD, &how).await;
        world.note(format!("what fails is replaced: {mended:?}"));
        world.counted("mended");
    }
}

/// Where no record comes, nobody decides: whoever has begun it ends it.
async fn end_late_canary(world: &World, deployer: &Deployer) {
    let now = deployer.now();
    if lock(&world.monitor).is_late(&now.record) {
        world.note("a canary that began after the last record is ended");
        let ended = deployer.roll_back(Some(now.record.generation)).await;
        world.note(format!("it is ended: {ended:?}"));
    }
}

fn given(caller: &Caller, clock: &Arc<dyn Clock>, runtime: &Handle) -> Given {
    let source: Arc<dyn Source> = Arc::new(SimSource { caller: caller.clone(), clock: clock.clone() });
    let exact = |name: &'static str| -> MakeSink {
        let caller = caller.clone();
        Arc::new(move || Box::new(ExactSink::new(name, caller.clone())) as Box<dyn Sink>)
    };
    let (to, runtime) = (caller.clone(), runtime.clone());
    let sent: MakeSink =
        Arc::new(move || Box::new(SentSink::new("sent", to.clone(), runtime.clone())) as Box<dyn Sink>);
    let counter = |version| -> MakePlugin { Arc::new(move || Box::new(Counter::new(version)) as Box<dyn KeyedPlugin>) };
    Given {
        sources: BTreeMap::from([("events".to_owned(), source)]),
        sinks: BTreeMap::from([
            ("windows".to_owned(), exact("windows")),
            ("rows".to_owned(), exact("rows")),
            ("counts_out".to_owned(), exact("counts_out")),
            ("sent".to_owned(), sent),
            (DEAD_LETTERS.to_owned(), exact(DEAD_LETTERS)),
        ]),
        plugins: BTreeMap::from([(COUNTS.to_owned(), counter("v1"))]),
        versions: VERSIONS.into_iter().map(|version| (version.to_owned(), counter(version))).collect(),
        deployed: None,
    }
}
