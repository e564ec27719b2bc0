//! The rows of the table, and how several measurements become one line of each figure.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{epochs, idle, owners};

/// What one measurement gave, by name, in the order in which it is shown.
pub type Figures = Map<String, Value>;

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum What {
    /// a partition with so many MiB of state goes to another worker
    HandOver(u64),
    /// the only worker is killed and started again
    Recovery(u64),
    /// epochs of so many partitions
    Epochs(u32),
    /// nothing comes in so many shards
    Idle(u32),
}

const ROWS: &[(&str, What)] = &[
    ("hand-over 100 MiB", What::HandOver(100)),
    ("hand-over 1 GiB", What::HandOver(1024)),
    ("recovery 10 MiB", What::Recovery(10)),
    ("recovery 100 MiB", What::Recovery(100)),
    ("recovery 1 GiB", What::Recovery(1024)),
    ("epochs of 1 partition", What::Epochs(1)),
    ("epochs of 10 partitions", What::Epochs(10)),
    ("epochs of 100 partitions", What::Epochs(100)),
    ("100 idle shards", What::Idle(100)),
];

/// Measures the rows whose names hold `only`, and prints them. Rows that take a minute and more for steady figures are measured once.
pub async fn table(json: bool, only: Option<&str>, repeat: usize) -> Result<()> {
    let mut all = Vec::new();
    for (name, what) in ROWS.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        let runs = match *what {
            What::HandOver(mib) => owners::hand_over(mib, repeat).await?,
            What::Recovery(mib) => owners::recovery(mib, repeat).await?,
            What::Epochs(shards) => vec![epochs::cost(shards).await?],
            What::Idle(shards) => vec![idle::idle(shards).await?],
        };
        if json {
            all.push(json!({ "row": name, "runs": runs }));
        } else {
            println!("{name}");
            lines(&runs).into_iter().for_each(|line| println!("{line}"));
        }
    }
    if json {
        println!("{:#}", Value::Array(all));
    }
    Ok(())
}

/// Smallest, middle and largest of each figure.
fn lines(runs: &[Figures]) -> Vec<String> {
    let Some(first) = runs.first() else { return Vec::new() };
    let line = |name: &String| {
        let mut figures: Vec<f64> = runs.iter().filter_map(|run| run.get(name)?.as_f64()).collect();
        figures.sort_by(f64::total_cmp);
        let shown: Vec<String> = match figures[..] {
            [one] => vec![short(one)],
            [least, .., most] => [least, figures[figures.len() / 2], most].map(short).to_vec(),
            [] => Vec::new(),
        };
        format!("  {name:60} {}", shown.join(" / "))
    };
    first.keys().map(line).collect()
}

/// Three figures that count.
fn short(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}
