//! The same filter over a list of records, as one would write it without columns. The engine is set as the host's is.

use std::path::Path;

use anyhow::{Result, anyhow};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{boundary, measure::Spent};

wasmtime::component::bindgen!({
    inline: "
        package bench:records;

        world filter {
            record reading { device: string, value: f64 }
            export keep: func(readings: list<reading>, at-least: f64) -> list<reading>;
        }
    ",
});

/// What the standard library of the guest asks for.
struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// Compiled and started.
pub struct List {
    store: Store<Guest>,
    filter: Filter,
}

impl List {
    pub fn start(file: &Path) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).map_err(failed)?;
        let component = Component::from_file(&engine, file).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(failed)?;
        let guest = Guest { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
        let mut store = Store::new(&engine, guest);
        let filter = Filter::instantiate(&mut store, &component, &linker).map_err(failed)?;
        Ok(Self { store, filter })
    }

    pub async fn calls(&mut self, size: usize) -> Result<(u64, Spent)> {
        let readings: Vec<Reading> =
            (0..size).map(boundary::reading).map(|(device, value)| Reading { device, value }).collect();
        boundary::run(size, async || {
            Ok(self.filter.call_keep(&mut self.store, &readings, 512.0).map_err(failed)?.len())
        })
        .await
    }
}
