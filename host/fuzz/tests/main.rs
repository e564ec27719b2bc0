//! CI's part of fuzzing: the corpus, what once failed, and changes of both that follow from a seed, through every target.
//!
//! The rule: one input has a bound of time, and the whole takes seconds. Left to others: searching (`cargo xtask fuzz`).
#![allow(clippy::unwrap_used, reason = "tests")]

mod hostile;
mod smith;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use pelton::clock::{Clock, SystemClock};
use pelton_fuzz::{TARGETS, Target, mutate};
use pelton_schema::sample::Dice;

/// How long one input may take: a thousand times what most take, on a machine that does ten other things.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Changed inputs of all targets together.
const MUTATIONS: usize = 2000;
/// Of a target in the repository.
const MOST_FILES: usize = 150;
const MOST_BYTES: usize = 300 << 10;

fn inputs(kind: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Gives an input to a target. What it panics with is printed by the test; which input it was, by the guard.
fn give(target: Target, name: &str, input: &[u8]) {
    struct Guard<'a>(&'a str, &'a str, &'a [u8]);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let input: String = self.2.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("target {}, input {}: {input}", self.0, self.1);
            }
        }
    }
    let guard = Guard(target.name, name, input);
    let clock = SystemClock::new();
    (target.run)(input);
    assert!(clock.elapsed() < MOST_TIME, "one input took {:?}", clock.elapsed());
    drop(guard);
}

#[test]
fn the_corpus_and_what_once_failed_pass_every_target() {
    let mut count = 0;
    for target in TARGETS {
        let corpus = inputs("corpus", target.name);
        let bytes: usize = corpus.iter().map(|(_, input)| input.len()).sum();
        assert!(corpus.len() <= MOST_FILES && bytes <= MOST_BYTES, "the corpus of {} is too large", target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (path, input) in corpus.iter().chain(&inputs("regressions", target.name)) {
            give(target, &path.file_name().unwrap().to_string_lossy(), input);
            count += 1;
        }
    }
    println!("{count} inputs");
}

#[test]
fn changes_of_the_corpus_pass_every_target() {
    let mut dice = Dice(20_261_122);
    let all = TARGETS.map(|target| [inputs("corpus", target.name), inputs("regressions", target.name)].concat());
    for number in 0..MUTATIONS {
        let (target, inputs) = (TARGETS[number % TARGETS.len()], &all[number % TARGETS.len()]);
        let (_, input) = &inputs[dice.below(inputs.len())];
        let (_, other) = &inputs[dice.below(inputs.len())];
        let changed = mutate::mutated(&mut dice, input, other);
        give(target, &format!("mutation {number}"), &changed);
    }
}

/// Every target does something with bytes of no form at all.
#[test]
fn noise_passes_every_target() {
    for (target, seed) in TARGETS.into_iter().flat_map(|target| (0..20).map(move |seed| (target, seed))) {
        let mut dice = Dice(seed);
        let input: Vec<u8> = (0..dice.below(200)).map(|_| dice.bits() as u8).collect();
        give(target, &format!("noise {seed}"), &input);
    }
}
