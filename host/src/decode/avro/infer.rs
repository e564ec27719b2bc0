//! The fields of a schema where nobody says which: every one, by its dotted path, as the kind that is natural to it.
//!
//! The rule: what has no simple kind (lists, maps, unions of several types, a record inside of itself) is JSON.
//! Left to others: what a field is called or cast to later.

use pelton_schema::types::{AvroSchema, Logical, Shape, TypeId};

use crate::decode::{FieldPath, Kind, WantedField};

/// Past this many fields, records are given as JSON.
const MOST_FIELDS: usize = 512;
/// Past this depth, records are given as JSON.
const MOST_DEPTH: usize = 8;

/// All fields of a parsed schema. A schema that is no record has none.
pub fn infer(schema: &AvroSchema) -> Vec<WantedField> {
    let mut found = Infer { schema, open: Vec::new(), fields: Vec::new() };
    let (root, is_optional) = found.present(schema.root());
    if matches!(schema.get(root).shape, Shape::Record { .. }) {
        found.record(root, "", is_optional);
    }
    found.fields
}

struct Infer<'a> {
    schema: &'a AvroSchema,
    /// the records around the present one
    open: Vec<TypeId>,
    fields: Vec<WantedField>,
}

impl Infer<'_> {
    /// The one type of a nullable union, and whether it is one.
    fn present(&self, id: TypeId) -> (TypeId, bool) {
        let Shape::Union(branches) = &self.schema.get(id).shape else { return (id, false) };
        let is_null = |branch: &&TypeId| matches!(self.schema.get(**branch).shape, Shape::Null);
        let mut others = branches.iter().filter(|branch| !is_null(branch));
        let has_null = branches.iter().any(|branch| is_null(&branch));
        match (others.next(), others.next()) {
            (Some(only), None) => (*only, has_null),
            _ => (id, has_null),
        }
    }

    fn record(&mut self, id: TypeId, prefix: &str, is_optional: bool) {
        let Shape::Record { fields, .. } = &self.schema.get(id).shape else { return };
        self.open.push(id);
        for field in fields {
            let (inner, is_nullable) = self.present(field.id);
            let path = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
            let optional = is_optional || is_nullable || matches!(self.schema.get(inner).shape, Shape::Null);
            let is_record = matches!(&self.schema.get(inner).shape, Shape::Record { fields, .. } if !fields.is_empty());
            let is_open =
                self.open.contains(&inner) || self.open.len() >= MOST_DEPTH || self.fields.len() >= MOST_FIELDS;
            if is_record && !is_open {
                self.record(inner, &path, optional);
            } else {
                self.fields.push(WantedField {
                    path: FieldPath::new(path),
                    kind: natural(self.schema, inner),
                    optional,
                });
            }
        }
        self.open.pop();
    }
}

/// The kind that loses nothing.
pub fn natural(schema: &AvroSchema, id: TypeId) -> Kind {
    let one = schema.get(id);
    match (one.logical, &one.shape) {
        (Some(Logical::Decimal { precision, scale }), _) => match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision @ 1..=76), Ok(scale)) if scale as u8 <= precision => Kind::Decimal { precision, scale },
            _ => Kind::Json,
        },
        (Some(Logical::Uuid), _) => Kind::Text,
        (Some(Logical::Date), _) => Kind::Date,
        (Some(Logical::Time(_)), _) => Kind::Int64,
        (Some(Logical::Timestamp(_)), _) => Kind::Timestamp,
        (Some(Logical::Duration), _) => Kind::Json,
        (None, Shape::Boolean) => Kind::Boolean,
        (None, Shape::Int) => Kind::Int32,
        (None, Shape::Long) => Kind::Int64,
        (None, Shape::Float | Shape::Double) => Kind::Float64,
        (None, Shape::String | Shape::Enum { .. }) => Kind::Text,
        (None, Shape::Bytes | Shape::Fixed { .. }) => Kind::Binary,
        (None, _) => Kind::Json,
    }
}
