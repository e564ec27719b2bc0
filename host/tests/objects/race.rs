//! Ten writers race for one name from two processes: this test starts its own program twice, as [`racer`], and each has five clients with
//! connections of their own.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use bytes::Bytes;
use pelton::objects::{Created, Objects};

use super::server::{BUCKET, Server, client};
use crate::chaos::number;

/// Where a process of the race finds its server, and its name.
const WHERE: &str = "PELTON_RACE_AT";
const WHO: &str = "PELTON_RACER";
const CLIENTS: usize = 5;
/// In front of what a process says, among what its test harness says.
const SAID: &str = "won:";

/// Long enough to come in pieces.
fn content(writer: &str) -> Bytes {
    format!("{writer} ").repeat(8_000).into()
}

struct Racer {
    process: Child,
    begin: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Racer {
    fn start(endpoint: &str, who: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "objects::race::racer", "--ignored", "--nocapture"]);
        command.env(WHERE, endpoint).env(WHO, who).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (begin, said) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, begin, said }
    }

    fn begin(&mut self, name: &str) {
        writeln!(self.begin, "{name}").unwrap();
    }

    /// Those of its writers that were told that the object is theirs.
    fn winners(&mut self) -> Vec<String> {
        let mut line = String::new();
        while !line.starts_with(SAID) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "a process of the race has ended");
        }
        line[SAID.len()..].split_whitespace().map(str::to_owned).collect()
    }
}

/// No test by itself: a process of the race. It reads names, and says who of its writers made each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the race"]
async fn racer() {
    let (Ok(endpoint), Ok(who)) = (std::env::var(WHERE), std::env::var(WHO)) else { return };
    let writers: Vec<String> = (0..CLIENTS).map(|number| format!("{who}{number}")).collect();
    let clients = futures::future::join_all(writers.iter().map(|_| client(&endpoint, BUCKET, "race"))).await;
    for name in std::io::stdin().lines().map_while(Result::ok) {
        let tries = clients.iter().zip(&writers).map(|(client, writer)| client.create(&name, content(writer)));
        let ends = futures::future::try_join_all(tries).await.unwrap();
        let winners = ends.iter().zip(&writers).filter(|(end, _)| **end == Created::Done);
        let winners: Vec<&str> = winners.map(|(_, writer)| writer.as_str()).collect();
        println!("\n{SAID} {}", winners.join(" "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_writers_in_two_processes_one_wins() {
    let Some(server) = Server::start().await else { return };
    let objects = client(&server.endpoint(), BUCKET, "race").await;
    let mut racers = ["a", "b"].map(|who| Racer::start(&server.endpoint(), who));
    let mut wins = [0, 0];
    for round in 0..number("PELTON_RACES").unwrap_or(100) {
        let name = format!("round/{round:06}");
        let first = usize::from(round % 2 == 1);
        racers[first].begin(&name);
        racers[1 - first].begin(&name);
        let winners: Vec<String> = racers.iter_mut().flat_map(Racer::winners).collect();
        assert_eq!(winners.len(), 1, "{name}: {winners:?}");
        assert_eq!(objects.read(&name, None).await.unwrap(), Some(content(&winners[0])), "{name}: {winners:?}");
        wins[usize::from(winners[0].starts_with('b'))] += 1;
    }
    println!("  won by the first process: {}, by the second: {}", wins[0], wins[1]);
    assert!(wins.iter().all(|wins| *wins > 0), "the processes did not meet: {wins:?}");
}
