//! Avro, in every frame that it comes in, straight into columns.
//!
//! The rule: one program is compiled for each schema that records were written with; programs of one decoder append to the same
//! columns, so rows stay in the order of the log however schema ids alternate. Every Avro type goes this way, also recursive ones
//! and unions of several types (as JSON), so there is no second decoder to agree with; Avro for Java and apache-avro are the judges in
//! the tests. A record whose schema is not known yet is not bad: the batch waits for it.
//! Left to others: finding schemas by id (`registry`), what a schema says and what reads what (`pelton_schema`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use pelton_schema::Mode;
use pelton_schema::types::Shape;
pub use pelton_schema::{AvroSchema, default::long};

pub use self::{
    contract::{Contract, OnIncompatible},
    frame::{frame, head, write as write_head},
};
use self::{program::Program, resolve::clipped};
use super::{
    Decoded, Decoder, Kind, Outcome, Reject, Tree, WantedField,
    columns::{Columns, Refusal, arrow_schema},
    gzip,
    registry::{Found, Registered, Registry, SchemaId},
};
use crate::{
    error::{Error, Kind as ErrorKind, Result},
    record::RawBatch,
};

mod contract;
mod convert;
mod frame;
mod infer;
mod program;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod walk;

/// The code of a reject whose schema breaks the contract of its source.
pub const INCOMPATIBLE: &str = "incompatible_schema";

/// All fields of a schema with their natural kinds; none where the schema is no record.
pub fn infer(schema: &AvroSchema) -> Vec<WantedField> {
    infer::infer(schema)
}

/// The natural kind of one field, and whether it can be null. Fails with `Config` where the schema has no such field.
pub fn field(schema: &AvroSchema, path: &str) -> Result<WantedField> {
    let whole = WantedField::optional(path, Kind::Json);
    check(schema, std::slice::from_ref(&whole))?;
    let found = infer(schema).into_iter().find(|field| &*field.path.0 == path);
    Ok(found.unwrap_or(whole))
}

/// Whether records of a schema can give what is wanted; `Config` names the field, the schema and what is there.
/// Unlike at run time, an optional field must exist too: where one schema is the contract, a name it lacks is a typing error.
pub fn check(schema: &AvroSchema, wanted: &[WantedField]) -> Result<()> {
    let strict: Vec<WantedField> =
        wanted.iter().map(|field| WantedField { optional: false, ..field.clone() }).collect();
    let tree = Tree::new(&strict)?;
    compile(schema, None, &strict, &tree)
        .map(drop)
        .map_err(|why| Error::new(ErrorKind::Config, format!("schema {}: {why}", schema.title())))
}

/// Whether records that were written with one schema give what is wanted when they are read by another. The error is in words.
pub fn reads(writer: &AvroSchema, reader: &AvroSchema, wanted: &[WantedField]) -> std::result::Result<(), String> {
    let tree = Tree::new(wanted).map_err(|bad| bad.to_string())?;
    compile(writer, Some(reader), wanted, &tree).map(drop)
}

fn compile(
    writer: &AvroSchema,
    reader: Option<&AvroSchema>,
    wanted: &[WantedField],
    tree: &Tree,
) -> std::result::Result<Program, String> {
    let root = &reader.unwrap_or(writer);
    if !wanted.is_empty() && !matches!(root.get(root.root()).shape, Shape::Record { .. } | Shape::Union(_)) {
        return Err(format!("{} is no record and has no fields", root.title()));
    }
    Program::compile(resolve::resolve(writer, reader)?, wanted, tree)
}

/// A program, or code and words of what every record of that schema becomes.
type Compiled = std::result::Result<Arc<Program>, (&'static str, Arc<str>)>;

/// How many programs a decoder keeps.
const MOST_PROGRAMS: usize = 16_384;

/// Decodes Avro records of any number of schemas into the columns that are wanted.
pub struct AvroDecoder {
    schemas: Arc<Registry>,
    contract: Contract,
    /// what is wanted of the reader's schema
    part: Option<AvroSchema>,
    wanted: Vec<WantedField>,
    tree: Tree,
    schema: SchemaRef,
    limit: usize,
    programs: HashMap<SchemaId, Compiled>,
    buffers: Buffers,
}

/// Room that is used again for each record.
#[derive(Default)]
struct Buffers {
    /// a record that was compressed as a whole
    record: Vec<u8>,
    /// a body that was compressed
    body: Vec<u8>,
    /// JSON text of a cell
    text: Vec<u8>,
}

impl AvroDecoder {
    /// A decoder. With a reader's schema, what is wanted is checked against it at once.
    pub fn new(schemas: Arc<Registry>, contract: Contract, wanted: &[WantedField], limit: usize) -> Result<Self> {
        let part = match &contract.reader {
            Some(reader) => {
                check(&reader.schema, wanted)?;
                Some(reader.schema.project(wanted.iter().map(|field| &*field.path.0)))
            }
            None => None,
        };
        Ok(Self {
            schemas,
            contract,
            part,
            tree: Tree::new(wanted)?,
            schema: arrow_schema(wanted),
            wanted: wanted.to_vec(),
            limit,
            programs: HashMap::new(),
            buffers: Buffers::default(),
        })
    }

    /// Compiles programs for the schemas of a batch. Gives back the ids about which nothing is known yet.
    fn prepare(&mut self, batch: &RawBatch) -> Result<Vec<SchemaId>> {
        if self.programs.len() > MOST_PROGRAMS {
            self.programs.clear();
        }
        let (mut missing, mut last) = (BTreeSet::new(), None);
        let mut buffers = std::mem::take(&mut self.buffers);
        for record in batch.data.iter() {
            let Ok((id, own)) = id_of(record, self.limit, &mut buffers.record) else { continue };
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            if self.programs.contains_key(&id) || missing.contains(&id) {
                continue;
            }
            let look = match own {
                Some(text) => Some((Registered::unregistered(id, text), Vec::new())),
                None => self.schemas.look(id, self.contract.reach().as_ref()).map(|look| (look.found, look.older)),
            };
            match look {
                Some((found, older)) => self.admit(id, &found, &older)?,
                None => drop(missing.insert(id)),
            }
        }
        self.buffers = buffers;
        Ok(missing.into_iter().collect())
    }

    /// Judges a schema that is met for the first time, and compiles its program.
    fn admit(&mut self, id: SchemaId, found: &Found, older: &[Arc<Registered>]) -> Result<()> {
        let writer = match found {
            Found::Schema(writer) => writer,
            // Not kept: the registry forgets it after a while.
            Found::Unknown => return Ok(()),
            Found::Unusable(why) => {
                self.programs
                    .insert(id, Err(("bad_schema", clipped(format!("schema {id} cannot be used: {why}")).into())));
                return Ok(());
            }
        };
        let title = writer.schema.title();
        // What nobody reads need not be there: the judge and the program look at the same part of the reader's schema.
        let program = compile(&writer.schema, self.part.as_ref(), &self.wanted, &self.tree).map(Arc::new);
        // Where schemas are judged at all, one that cannot be compiled is as bad as one that breaks the mode.
        let verdict = self.contract.judge(self.part.as_ref(), writer, older).and_then(|()| match &program {
            Err(why) if self.contract.mode != Mode::None => Err(why.clone()),
            _ => Ok(()),
        });
        if let Err(why) = &verdict {
            let words = clipped(format!("schema {id}, {title}: {why}"));
            if self.contract.on_incompatible == OnIncompatible::Stop {
                let help = "nothing of it was read: mend the schema, change `compatibility`, or say `on_incompatible: dead_letter`";
                return Err(Error::new(ErrorKind::Step, format!("{words}; {help}")));
            }
            tracing::warn!("records go to the dead letters: {words}");
            self.programs.insert(id, Err((INCOMPATIBLE, words.into())));
            return Ok(());
        }
        let program =
            program.map_err(|why| ("schema_mismatch", clipped(format!("schema {id}, {title}: {why}")).into()));
        self.programs.insert(id, program);
        Ok(())
    }

    /// Reads the batch; nothing when a text turns out to be none.
    fn pass(&mut self, batch: &RawBatch, is_strict: bool) -> Result<Option<Decoded>> {
        let mut columns = Columns::new(&self.schema, &self.wanted, batch.len());
        let (mut rows, mut rejects) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut last = None;
        for (row, record) in (0u32..).zip(batch.data.iter()) {
            match self.append(record, &mut last, &mut columns, &mut buffers, is_strict) {
                Ok(()) => {
                    columns.keep();
                    rows.push(row);
                }
                Err((code, message)) => {
                    columns.drop_row();
                    rejects.push(Reject { row, code, message });
                }
            }
        }
        self.buffers = buffers;
        if !is_strict && !columns.is_text_valid() {
            return Ok(None);
        }
        Ok(Some(Decoded { fields: columns.finish()?, rows, rejects }))
    }

    fn append<'p>(
        &'p self,
        record: &[u8],
        last: &mut Option<(SchemaId, &'p Compiled)>,
        columns: &mut Columns,
        buffers: &mut Buffers,
        is_strict: bool,
    ) -> std::result::Result<(), Refusal> {
        let Buffers { record: inflated, body: unpacked, text } = buffers;
        let whole = if gzip::is_gzip(record) {
            gzip::inflate(record, self.limit, inflated).map_err(|bad| (bad.code(), bad.message(self.limit)))?;
            inflated.as_slice()
        } else {
            record
        };
        let head = head(whole)?;
        if last.as_ref().is_none_or(|(known, _)| *known != head.id) {
            *last = self.programs.get(&head.id).map(|program| (head.id, program));
        }
        let program = match last {
            Some((_, Ok(program))) => program,
            Some((_, Err((code, why)))) => return Err((code, why.to_string())),
            None => return Err(("unknown_schema", format!("the registry knows no schema {}", head.id))),
        };
        let body = match head.packing {
            frame::Packing::Plain => head.body,
            packing => {
                let inflate = if packing == frame::Packing::Zlib { gzip::inflate_zlib } else { gzip::inflate_bare };
                inflate(head.body, self.limit, unpacked).map_err(|bad| (bad.code(), bad.message(self.limit)))?;
                unpacked.as_slice()
            }
        };
        let done = program.run(body, columns.all(), text, is_strict);
        done.map_err(|fault| (fault.code(), program.message(fault, &self.wanted)))
    }
}

/// The schema id of a record, and its schema where it brings that along; of a compressed one only as much as needed is inflated.
fn id_of<'a>(
    record: &'a [u8],
    limit: usize,
    inflated: &'a mut Vec<u8>,
) -> std::result::Result<(SchemaId, Option<&'a str>), Refusal> {
    if !gzip::is_gzip(record) {
        return head(record).map(|head| (head.id, head.schema));
    }
    let refuse = |bad: gzip::BadGzip| (bad.code(), bad.message(limit));
    gzip::peek(record, frame::HEAD, inflated).map_err(refuse)?;
    if frame::is_container(inflated) {
        gzip::inflate(record, limit, inflated).map_err(refuse)?;
    }
    head(inflated).map(|head| (head.id, head.schema))
}

impl Decoder for AvroDecoder {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self, batch: &RawBatch) -> Result<Outcome> {
        let missing = self.prepare(batch)?;
        if !missing.is_empty() {
            return Ok(Outcome::Waits(self.schemas.settle(missing, self.contract.reach())));
        }
        // Texts are checked by the column; only where one is bad is the batch read again to find whose it is.
        let decoded = match self.pass(batch, false)? {
            Some(decoded) => Some(decoded),
            None => self.pass(batch, true)?,
        };
        let lost = || Error::new(ErrorKind::Internal, "a text that was checked is no UTF-8");
        decoded.map(Outcome::Done).ok_or_else(lost)
    }
}
