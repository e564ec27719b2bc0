//! A schema cut down to the fields that somebody reads.
//!
//! The rule: the result reads the same values of the fields that are kept, and asks nothing of the others, so a version that lacks one of
//! them is no mismatch. Left to others: which fields are read (`job`).

use std::collections::{BTreeMap, HashMap};

use crate::types::{AvroSchema, FieldType, Shape, Type, TypeId};

/// Names below names: what is kept of a record. Without children, all of a value.
#[derive(Debug, Default)]
struct Kept<'a> {
    is_whole: bool,
    children: BTreeMap<&'a str, Kept<'a>>,
}

impl AvroSchema {
    /// The same schema with no other fields than these: dotted paths, as far as they name fields. A path that names a record keeps all of
    /// it. A schema that is no record is given back as it is.
    pub fn project<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kept = Kept::default();
        for path in paths {
            let mut at = &mut kept;
            for name in path.split('.') {
                at = at.children.entry(name).or_default();
            }
            at.is_whole = true;
        }
        let mut project = Project { types: self.types.clone(), whole: HashMap::new() };
        let root = project.cut(self, self.root, &kept);
        Self { types: project.types, root, defects: self.defects.clone() }
    }
}

struct Project {
    types: Vec<Type>,
    /// cut records by the place of the whole one, to be found again on other ways to them
    whole: HashMap<(TypeId, *const ()), TypeId>,
}

impl Project {
    /// The place of a type with what is kept of it alone.
    fn cut(&mut self, schema: &AvroSchema, id: TypeId, kept: &Kept<'_>) -> TypeId {
        if kept.is_whole {
            return id;
        }
        let key = (id, std::ptr::from_ref(kept).cast::<()>());
        if let Some(known) = self.whole.get(&key) {
            return *known;
        }
        let one = schema.get(id);
        let shape = match &one.shape {
            Shape::Record { names, fields } => {
                let keep = |field: &FieldType| Some((field.clone(), kept.children.get(field.name.as_str())?));
                let mut fields: Vec<(FieldType, &Kept<'_>)> = fields.iter().filter_map(keep).collect();
                fields.iter_mut().for_each(|(field, kept)| field.id = self.cut(schema, field.id, kept));
                Shape::Record { names: names.clone(), fields: fields.into_iter().map(|(field, _)| field).collect() }
            }
            Shape::Union(branches) => {
                Shape::Union(branches.iter().map(|branch| self.cut(schema, *branch, kept)).collect())
            }
            _ => return id,
        };
        self.types.push(Type { shape, logical: one.logical });
        self.whole.insert(key, self.types.len() - 1);
        self.types.len() - 1
    }
}
