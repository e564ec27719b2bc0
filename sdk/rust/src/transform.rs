//! Transformers: records in, records out (map, filter, flat-map, route).
//!
//! `Transformer` is what most authors write: rows of one struct in, values of another out. `ColumnTransformer` is the level below, for
//! plugins whose fields are named by their config; `Typed` is how the first becomes the second. Memory of a plugin is a cache, never
//! state: an instance serves several partitions and may be replaced after any call.

use crate::batch::{Columns, Emit};
use crate::bindings::types::{self, Context, Failure, Input, Manifest, Processed};
use crate::config::{self, Config};
use crate::out::{self, Out, Output};
use crate::rows::{Fields, Rows};
use std::marker::PhantomData;

/// A function from rows to rows. Export it with `pelton_sdk::transformer!(Name);`.
pub trait Transformer: Sized {
    type Config: Config;
    type Input<'a>: Fields<'a>;
    type Output<'a>: Output;
    const NAME: &'static str;
    const VERSION: &'static str = "0.1.0";
    const DOC: &'static str = "";

    fn new(config: Self::Config) -> Result<Self, String>;

    /// Called for every batch. Rows that are neither emitted nor rejected are dropped; an error fails the whole batch.
    fn process<'a>(&mut self, rows: Rows<'a, Self::Input<'a>>, out: &mut Out<Self::Output<'a>>) -> Result<(), Failure>;
}

/// A function from columns to columns, with a manifest that may depend on the config. Export it with
/// `pelton_sdk::column_transformer!(Name);`.
pub trait ColumnTransformer: Sized {
    type Config: Config;

    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn new(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn process(&mut self, columns: &Columns<'_>, emit: &mut Emit) -> Result<(), Failure>;
}

/// A `Transformer` as a `ColumnTransformer`.
pub struct Typed<T>(T);

impl<T: Transformer> Runs for Typed<T> {
    type Config = T::Config;
    fn describe(_: &T::Config) -> Result<Manifest, String> {
        let mut manifest = manifest::<T::Config>(T::NAME, T::VERSION, T::DOC);
        manifest.inputs = <T::Input<'static>>::inputs();
        manifest.outputs = <T::Output<'static>>::declare("out");
        Ok(manifest)
    }
    fn start(config: T::Config, _: &Context) -> Result<Self, String> {
        T::new(config).map(Self)
    }
    fn run(&mut self, batch: &types::Batch) -> Result<Processed, Failure> {
        let rows = Rows::open(batch)?;
        let mut out = Out::with_capacity(batch.count as usize);
        self.0.process(rows, &mut out)?;
        let (emitted, errors) = out.finish();
        Ok(out::processed(emitted, errors))
    }
}

/// A `ColumnTransformer` as the export wants it.
pub struct Columnar<T>(T, PhantomData<()>);

impl<T: ColumnTransformer> Runs for Columnar<T> {
    type Config = T::Config;
    fn describe(config: &T::Config) -> Result<Manifest, String> {
        T::describe(config)
    }
    fn start(config: T::Config, context: &Context) -> Result<Self, String> {
        Ok(Self(T::new(config, context)?, PhantomData))
    }
    fn run(&mut self, batch: &types::Batch) -> Result<Processed, Failure> {
        let mut emit = Emit::default();
        self.0.process(&Columns::new(batch), &mut emit)?;
        Ok(out::processed(emit.emitted, emit.errors))
    }
}

/// What the export and the test helper run; written for authors by `Typed` and `Columnar`.
pub trait Runs: Sized {
    type Config: Config;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn run(&mut self, batch: &types::Batch) -> Result<Processed, Failure>;
}

/// A manifest without inputs, outputs and tables.
pub fn manifest<C: Config>(name: &str, version: &str, doc: &str) -> Manifest {
    Manifest {
        name: name.to_owned(),
        version: version.to_owned(),
        doc: doc.to_owned(),
        config_schema: config::schema_text::<C>(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        key: Vec::new(),
        tables: Vec::new(),
        connectors: Vec::new(),
        annotations: Vec::new(),
    }
}

/// The one input of a step.
pub fn input(fields: Vec<types::Field>, identity: types::Identity) -> Input {
    Input { name: "in".to_owned(), identity, fields, doc: String::new() }
}
