//! Avro for Java as a program beside the tests, also for those of the host. Without it (`cargo xtask test` fetches it) the tests that ask it say so
//! and pass.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value as Json;

/// Avro for Java as a program that answers lines.
pub struct Judge {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts it, where it was fetched.
    pub fn start() -> Option<Self> {
        Self::of("avro", "Judge")
    }

    /// Another program of that kind: its folder among the judges, and its class.
    pub fn of(folder: &str, class: &str) -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("PELTON_JUDGES")?).join(folder);
        if !folder.join("classes").is_dir() {
            println!("skipped: {class} is not fetched: `cargo xtask test` does it");
            return None;
        }
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-cp", "classes:jars/*", class]).current_dir(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, to, from })
    }

    /// Answers to questions, in order. A bounded number is under way at a time.
    pub fn ask(&mut self, questions: &[Json]) -> Vec<Json> {
        let mut answers = Vec::with_capacity(questions.len());
        for some in questions.chunks(16) {
            let lines: String = some.iter().map(|question| format!("{question}\n")).collect();
            self.to.write_all(lines.as_bytes()).unwrap();
            self.to.flush().unwrap();
            for _ in some {
                let mut line = String::new();
                self.from.read_line(&mut line).unwrap();
                answers.push(serde_json::from_str(&line).unwrap());
            }
        }
        answers
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
