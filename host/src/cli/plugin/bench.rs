//! `pelton plugin bench`: what a plugin costs on this machine.
//!
//! Left to others: what is timed (`job::measure`).

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use crate::{
    cli::{Output, compiler, line, runtime},
    clock::{Clock as _, SystemClock},
    error::{Error, Kind, Result},
    job::{
        self, Graph,
        inspect::{Inspector, Subjects},
        measure::{self, Given, Took},
    },
    plugin::{Limits, Plugins},
    random,
};

/// Measure a plugin.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the component
    file: PathBuf,
    /// the step's `config:` as JSON
    #[arg(long, default_value = "{}")]
    config: String,
    /// a file of JSON lines to measure with; records are made of the plugin's fields without it
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// how long each size of batch is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = job::duration)]
    time: Duration,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// What was found out beside the batches.
struct Cost {
    bytes: u64,
    compile: Duration,
    load: Duration,
    start: Duration,
}

/// Runs the command.
pub fn bench(arguments: &Arguments) -> Result<()> {
    let config: Json = serde_json::from_str(&arguments.config)
        .map_err(|bad| Error::new(Kind::Config, format!("--config is no JSON: {bad}")))?;
    let given = arguments.records.as_deref().map_or(Ok(Given::Made), Given::read)?;
    let runtime = runtime()?;
    let folder = Emptied(std::env::temp_dir().join(format!("pelton-bench-{:016x}", random::bits())));
    let (plugins, cost) = runtime.block_on(load(arguments, &folder))?;
    let graph = graph(arguments, &config, &plugins, runtime.handle())?;
    if arguments.format == Output::Text {
        about(&cost);
        line("records a batch   ns a record   of the host's own      rows   rejected");
    }
    let mut all = Vec::new();
    // a step runs on one thread, as in a worker
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let alone = alone.map_err(|e| Error::new(Kind::Internal, format!("cannot start an executor: {e}")))?;
    let parts = (plugins.clone(), runtime.handle().clone());
    alone.block_on(measure::measure(&graph, &given, parts, arguments.time, |took| {
        if arguments.format == Output::Text {
            row(&took);
        }
        all.push(took);
    }))?;
    let memory = plugins.peak_memory();
    match arguments.format {
        Output::Text => line(format_args!("an instance held up to {:.1} MiB", memory as f64 / f64::from(1 << 20))),
        Output::Json => line(json!({
            "bytes": cost.bytes,
            "compile_ms": cost.compile.as_secs_f64() * 1e3,
            "load_compiled_ms": cost.load.as_secs_f64() * 1e3,
            "start_ms": cost.start.as_secs_f64() * 1e3,
            "memory_bytes": memory,
            "batches": all,
        })),
    }
    Ok(())
}

/// A folder that goes with this.
struct Emptied(PathBuf);

impl Drop for Emptied {
    fn drop(&mut self) {
        // what is left there harms nobody
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles it, loads what was compiled, and starts an instance.
async fn load(arguments: &Arguments, folder: &Emptied) -> Result<(Arc<Plugins>, Cost)> {
    let plugins = Plugins::new(Some(folder.0.clone()), Limits::default())?.compiled_by(compiler());
    let clock = SystemClock::new();
    plugins.load(&arguments.file).await?;
    let compiled = clock.elapsed();
    let plugin = plugins.load(&arguments.file).await?;
    let loaded = clock.elapsed();
    plugin.describe(&arguments.config).await?;
    let started = clock.elapsed();
    let bytes = std::fs::metadata(&arguments.file).map_or(0, |found| found.len());
    let cost = Cost { bytes, compile: compiled, load: loaded - compiled, start: started - loaded };
    Ok((Arc::new(plugins), cost))
}

/// The job that it is measured in.
fn graph(arguments: &Arguments, config: &Json, plugins: &Arc<Plugins>, runtime: &Handle) -> Result<Graph> {
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("`{}`: {e}", arguments.file.display()));
    let path = arguments.file.canonicalize().map_err(failed)?;
    let (world, manifest) = runtime.block_on(async {
        let plugin = plugins.load(&path).await?;
        Ok::<_, Error>((plugin.world(), plugin.describe(&arguments.config).await?))
    })?;
    let text = measure::job(&path.display().to_string(), &manifest, world, config)?;
    let inspector = Inspector {
        plugins: plugins.clone(),
        registry: None,
        runtime: runtime.clone(),
        subjects: Subjects::Left,
        away: false.into(),
    };
    let checked = job::parse("the job that it is measured in", "/".as_ref(), &text, &|_| None)
        .and_then(|file| job::check(&file, &inspector, &inspector));
    checked.map_err(|report| {
        Error::new(Kind::Config, format!("the plugin cannot be measured alone:\n{}", report.render(false)))
    })
}

fn about(cost: &Cost) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    line(format_args!("size               {} bytes", cost.bytes));
    line(format_args!("compiled in        {:.1} ms", ms(cost.compile)));
    line(format_args!("loaded compiled in {:.1} ms", ms(cost.load)));
    line(format_args!("started in         {:.1} ms", ms(cost.start)));
}

fn row(took: &Took) {
    let Took { batch, plugin_ns, native_ns, rows, rejected, .. } = took;
    line(format_args!("{batch:>15}   {plugin_ns:>11.1}   {native_ns:>17.1}   {rows:>7}   {rejected:>8}"));
}
