//! JSON objects encoded as Avro, in the frame of the registry where the schema is registered first.

use std::path::Path;

use apache_avro::{Schema, types::Value, writer::datum::GenericDatumWriter};

use super::schema::Place;
use crate::{
    decode::{avro::write_head, registry::Found},
    error::{Error, Kind, Result},
};

/// A schema, and the head of every record that is written with it.
pub struct AvroEncoder {
    schema: Schema,
    head: Vec<u8>,
}

impl AvroEncoder {
    /// Reads a schema file and registers it under the subject.
    pub async fn register(registry: &str, subject: &str, schema: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(schema)
            .map_err(|e| Error::new(Kind::Config, format!("cannot read the schema {}: {e}", schema.display())))?;
        Self::register_text(registry, subject, &text).await
    }

    /// The same for the text of a schema.
    pub async fn register_text(registry: &str, subject: &str, text: &str) -> Result<Self> {
        let schema = Schema::parse_str(text)
            .map_err(|e| Error::new(Kind::Config, format!("the schema for `{subject}` is no Avro schema: {e}")))?;
        let registry = Place::at(registry).open().await?;
        match registry.register(subject, text, true).await? {
            Found::Schema(registered) => {
                let mut head = Vec::new();
                write_head(registered.id, &mut head);
                Ok(Self { schema, head })
            }
            Found::Unknown => {
                Err(Error::new(Kind::Unavailable, format!("{} does not know `{subject}` afterwards", registry.name())))
            }
            Found::Unusable(why) => Err(Error::new(
                Kind::Config,
                format!("{} did not take the schema of `{subject}`: {why}", registry.name()),
            )),
        }
    }

    /// One record; `what` names it in the error.
    pub fn encode(&self, what: &str, object: serde_json::Value) -> Result<Vec<u8>> {
        Ok([self.head.clone(), encoded(&self.schema, what, object)?].concat())
    }

    /// One record a line.
    pub fn lines(&self, lines: &[String]) -> Result<Vec<Vec<u8>>> {
        let encode = |(number, line): (usize, &String)| {
            let what = format!("line {}", number + 1);
            let object =
                serde_json::from_str(line).map_err(|e| Error::new(Kind::Config, format!("{what} is no JSON: {e}")))?;
            self.encode(&what, object)
        };
        lines.iter().enumerate().map(encode).collect()
    }
}

fn encoded(schema: &Schema, what: &str, object: serde_json::Value) -> Result<Vec<u8>> {
    let bad = |e: &dyn std::fmt::Display| Error::new(Kind::Config, format!("{what} does not fit the schema: {e}"));
    let value = Value::try_from(object).map_err(|e| bad(&e))?.resolve(schema).map_err(|e| bad(&e))?;
    let writer = GenericDatumWriter::builder(schema).build().map_err(|e| bad(&e))?;
    writer.write_value_to_vec(value).map_err(|e| bad(&e))
}

/// The body of one record, without a frame; `what` names it in the error.
pub fn encode(schema: &str, what: &str, object: serde_json::Value) -> Result<Vec<u8>> {
    let schema =
        Schema::parse_str(schema).map_err(|e| Error::new(Kind::Config, format!("the schema of {what}: {e}")))?;
    encoded(&schema, what, object)
}
