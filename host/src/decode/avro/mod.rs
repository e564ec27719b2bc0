//! Avro in Confluent framing, straight into columns.
//!
//! The rule: one program is compiled for each schema that records were written with; programs of one decoder append to the same
//! columns, so rows stay in the order of the log however schema ids alternate. Every Avro type goes this way, also recursive ones
//! and unions of several types (as JSON), so there is no second decoder to agree with; apache-avro is the judge in the tests.
//! Left to others: finding schemas by id (`registry`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;

pub use self::{
    default::long,
    frame::{HEAD, frame, schema_id},
    types::AvroSchema,
};
use self::{program::Program, types::Shape};
use super::{
    Decoded, Decoder, Kind, Reject, Tree, WantedField,
    columns::{Columns, Refusal, arrow_schema},
    gzip,
    registry::{Found, Registry},
};
use crate::{
    error::{Error, Kind as ErrorKind, Result},
    record::RawBatch,
    source::Pending,
};

mod convert;
mod default;
mod frame;
mod infer;
mod program;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod types;
mod walk;

/// All fields of a schema with their natural kinds; none where the schema is no record or refers to what it does not define.
pub fn infer(schema: &apache_avro::Schema) -> Vec<WantedField> {
    AvroSchema::new(schema, &[]).map(|schema| infer_parsed(&schema)).unwrap_or_default()
}

/// The same of a parsed schema.
pub fn infer_parsed(schema: &AvroSchema) -> Vec<WantedField> {
    infer::infer(schema)
}

/// The natural kind of one field, and whether it can be null. Fails with `Config` where the schema has no such field.
pub fn field(schema: &AvroSchema, path: &str) -> Result<WantedField> {
    let whole = WantedField::optional(path, Kind::Json);
    check(schema, std::slice::from_ref(&whole))?;
    let found = infer_parsed(schema).into_iter().find(|field| &*field.path.0 == path);
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

/// A program, or why the schema of that id cannot be read as wanted.
type Compiled = std::result::Result<Arc<Program>, Arc<str>>;

/// How many programs a decoder keeps.
const MOST_PROGRAMS: usize = 1024;

/// Decodes Avro records of any number of schemas into the columns that are wanted.
pub struct AvroDecoder {
    schemas: Arc<Registry>,
    reader: Option<Arc<AvroSchema>>,
    wanted: Vec<WantedField>,
    tree: Tree,
    schema: SchemaRef,
    limit: usize,
    programs: HashMap<u32, Compiled>,
    body: Vec<u8>,
    text: Vec<u8>,
}

impl AvroDecoder {
    /// A decoder. With a reader's schema, what is wanted is checked against it at once.
    pub fn new(
        schemas: Arc<Registry>,
        reader: Option<Arc<AvroSchema>>,
        wanted: &[WantedField],
        gzip_limit: usize,
    ) -> Result<Self> {
        if let Some(reader) = &reader {
            check(reader, wanted)?;
        }
        Ok(Self {
            schemas,
            reader,
            tree: Tree::new(wanted)?,
            schema: arrow_schema(wanted),
            wanted: wanted.to_vec(),
            limit: gzip_limit,
            programs: HashMap::new(),
            body: Vec::new(),
            text: Vec::new(),
        })
    }

    /// Makes sure that every schema of the batch was asked for; what is not found is in the answer, and is asked for again by
    /// the next batch once the registry forgets it.
    async fn prepare(&mut self, ids: BTreeSet<u32>) -> Result<HashMap<u32, Refusal>> {
        if self.programs.len() > MOST_PROGRAMS {
            self.programs.clear();
        }
        let missing: Vec<u32> = ids.into_iter().filter(|id| !self.programs.contains_key(id)).collect();
        let mut refused = HashMap::new();
        for (id, found) in self.schemas.find_all(&missing).await? {
            match found {
                Found::Schema(writer) => {
                    let program = compile(&writer, self.reader.as_deref(), &self.wanted, &self.tree);
                    let program =
                        program.map(Arc::new).map_err(|why| format!("schema {id}, {}: {why}", writer.title()).into());
                    self.programs.insert(id, program);
                }
                Found::Unknown => {
                    refused.insert(id, ("unknown_schema", format!("the registry knows no schema {id}")));
                }
                Found::Unusable(why) => {
                    refused.insert(id, ("bad_schema", format!("schema {id} cannot be used: {why}")));
                }
            }
        }
        Ok(refused)
    }

    async fn run(&mut self, batch: &RawBatch) -> Result<Decoded> {
        let mut ids = BTreeSet::new();
        let mut last = None;
        for id in batch.data.iter().filter_map(|record| self.id_of(record).ok()) {
            if last != Some(id) {
                ids.insert(id);
                last = Some(id);
            }
        }
        let refused = self.prepare(ids).await?;
        // Texts are checked by the column; only where one is bad is the batch read again to find whose it is.
        match self.pass(batch, &refused, false)? {
            Some(decoded) => Ok(decoded),
            None => self
                .pass(batch, &refused, true)?
                .ok_or_else(|| Error::new(ErrorKind::Internal, "a text that was checked is no UTF-8")),
        }
    }

    /// Reads the batch; nothing when a text turns out to be none.
    fn pass(&mut self, batch: &RawBatch, refused: &HashMap<u32, Refusal>, is_strict: bool) -> Result<Option<Decoded>> {
        let mut columns = Columns::new(&self.schema, &self.wanted, batch.len());
        let (mut rows, mut rejects) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut last: Option<(u32, Compiled)> = None;
        for (row, record) in (0u32..).zip(batch.data.iter()) {
            let done = self.id_of(record).and_then(|id| {
                if last.as_ref().is_none_or(|(known, _)| *known != id) {
                    last = self.programs.get(&id).map(|program| (id, program.clone()));
                }
                match &last {
                    Some((_, Ok(program))) => self.append(program, record, &mut columns, is_strict),
                    Some((_, Err(why))) => Err(("schema_mismatch", why.to_string())),
                    None => {
                        Err(refused.get(&id).cloned().unwrap_or_else(|| ("unknown_schema", format!("no schema {id}"))))
                    }
                }
            });
            match done {
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
        if !is_strict && !columns.is_text_valid() {
            return Ok(None);
        }
        Ok(Some(Decoded { fields: columns.finish()?, rows, rejects }))
    }

    /// The schema id of a record; of a compressed one only the head is inflated.
    fn id_of(&self, record: &[u8]) -> std::result::Result<u32, Refusal> {
        if !gzip::is_gzip(record) {
            return schema_id(record);
        }
        let head = gzip::peek::<HEAD>(record).map_err(|bad| (bad.code(), bad.message(self.limit)))?;
        schema_id(&head)
    }

    fn append(
        &mut self,
        program: &Program,
        record: &[u8],
        columns: &mut Columns,
        is_strict: bool,
    ) -> std::result::Result<(), Refusal> {
        let mut framed = record;
        if gzip::is_gzip(record) {
            gzip::inflate(record, self.limit, &mut self.body).map_err(|bad| (bad.code(), bad.message(self.limit)))?;
            framed = &self.body;
        }
        let body = framed.get(HEAD..).unwrap_or_default();
        let done = program.run(body, columns.all(), &mut self.text, is_strict);
        done.map_err(|fault| (fault.code(), program.message(fault, &self.wanted)))
    }
}

impl Decoder for AvroDecoder {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode<'a>(&'a mut self, batch: &'a RawBatch) -> Pending<'a, Result<Decoded>> {
        Box::pin(self.run(batch))
    }
}
