//! From the JSON of a schema to types.
//!
//! The rule: an error or a defect names the place, and what stands there. Names may be used before they are defined; a name without a
//! namespace is looked for in the namespace around it, then without one, as Avro for Java does.
//! Left to others: what a default's bytes are (`default`).

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use crate::{
    default,
    types::{AvroSchema, Defect, FieldType, Logical, Names, SchemaError, Shape, Type, TypeId, Unit},
};

/// A schema may have so many bytes.
const MOST_TEXT: usize = 4 << 20;
/// And so many types.
const MOST_TYPES: usize = 200_000;
/// A name, with its namespace, may have so many bytes: it stands in every message and path about what is inside of it.
const MOST_NAME: usize = 1024;
/// Past so many bytes a path gets no longer.
const MOST_PATH: usize = 1024;
/// So many defects are told.
const MOST_DEFECTS: usize = 1000;

/// Parses a schema, and those that it refers to.
pub fn parse(text: &str, references: &[String]) -> Result<AvroSchema, SchemaError> {
    let mut parser = Parser::default();
    for (number, reference) in references.iter().enumerate() {
        let inside =
            |bad: SchemaError| SchemaError { what: format!("in reference {}: {}", number + 1, bad.what), ..bad };
        parser.whole(reference).map_err(inside)?;
    }
    // Defects of what is referred to were the business of whoever registered it.
    parser.defects.clear();
    let root = parser.whole(text)?;
    parser.finish(root)
}

/// A type, or a name whose definition has not been met yet.
enum Slot {
    Type(Type),
    Open { full: String, bare: String, path: String },
}

#[derive(Default)]
struct Parser {
    slots: Vec<Slot>,
    ids: HashMap<String, TypeId>,
    defects: Vec<Defect>,
}

type Parsed<T = TypeId> = Result<T, SchemaError>;

fn error(path: &str, what: impl Into<String>) -> SchemaError {
    SchemaError { path: path.to_owned(), what: what.into() }
}

/// The first characters of a long text, for messages.
fn start(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    short.escape_debug().to_string()
}

fn join(path: &str, name: &str) -> String {
    if path.len() > MOST_PATH {
        return path.to_owned();
    }
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Parser {
    fn whole(&mut self, text: &str) -> Parsed {
        if text.len() > MOST_TEXT {
            return Err(error("", format!("the schema has {} bytes: at most {MOST_TEXT}", text.len())));
        }
        let not_json = |bad| error("", format!("this is no JSON: {bad}; it begins `{}`", start(text)));
        let json = serde_json::from_str(text).map_err(not_json)?;
        self.any(&json, "", "")
    }

    fn plain(&mut self, shape: Shape, logical: Option<Logical>) -> TypeId {
        self.slots.push(Slot::Type(Type { shape, logical }));
        self.slots.len() - 1
    }

    fn defect(&mut self, path: &str, what: impl Into<String>) {
        if self.defects.len() < MOST_DEFECTS {
            self.defects.push(error(path, what));
        }
    }

    fn any(&mut self, json: &Json, space: &str, path: &str) -> Parsed {
        if self.slots.len() > MOST_TYPES {
            return Err(error(path, format!("the schema has more than {MOST_TYPES} types")));
        }
        match json {
            Json::String(name) => self.by_name(name, space, path, &Map::new()),
            Json::Array(branches) => self.union(branches, space, path),
            Json::Object(object) => self.object(object, space, path),
            other => Err(error(
                path,
                format!("`{}` is no type: expected a name, an object or a list", start(&other.to_string())),
            )),
        }
    }

    fn object(&mut self, object: &Map<String, Json>, space: &str, path: &str) -> Parsed {
        match object.get("type") {
            None => Err(error(path, format!("`{}` has no `type`", start(&Json::Object(object.clone()).to_string())))),
            Some(Json::String(name)) => self.by_name(name, space, path, object),
            Some(nested) => {
                self.defect(path, "`type` of a type is a name: write what stands there in its place");
                self.any(nested, space, path)
            }
        }
    }

    /// The aliases of a type or a field.
    fn aliases<'a>(&mut self, object: &'a Map<String, Json>, path: &str) -> Vec<&'a str> {
        let mut names = Vec::new();
        match object.get("aliases") {
            None => {}
            Some(Json::Array(list)) => {
                for alias in list {
                    match alias.as_str() {
                        Some(alias) => names.push(alias),
                        None => self.defect(path, format!("the alias `{}` is no name", start(&alias.to_string()))),
                    }
                }
            }
            Some(other) => {
                self.defect(path, format!("`aliases` is `{}`: expected a list of names", start(&other.to_string())));
            }
        }
        names
    }

    fn by_name(&mut self, name: &str, space: &str, path: &str, object: &Map<String, Json>) -> Parsed {
        let shape = match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::String,
            "array" => Shape::Array(self.inner(object, "items", space, &format!("{path}[]"))?),
            "map" => Shape::Map(self.inner(object, "values", space, &format!("{path}{{}}"))?),
            "record" | "error" => return self.record(object, space, path),
            "enum" => return self.symbols(object, space, path),
            "fixed" => return self.fixed(object, space, path),
            name => return self.reference(name, space, path),
        };
        let logical = logical(object, &shape);
        Ok(self.plain(shape, logical))
    }

    fn inner(&mut self, object: &Map<String, Json>, key: &str, space: &str, path: &str) -> Parsed {
        let inner = object.get(key).ok_or_else(|| error(path, format!("`{key}` is missing")))?;
        self.any(inner, space, path)
    }

    fn reference(&mut self, name: &str, space: &str, path: &str) -> Parsed {
        if !is_full_name(name) {
            return Err(error(path, format!("`{}` is no type: neither one of Avro's nor a name", start(name))));
        }
        short_enough(name, path)?;
        let full = if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") };
        if let Some(id) = self.ids.get(&full) {
            return Ok(*id);
        }
        self.slots.push(Slot::Open { full: full.clone(), bare: name.to_owned(), path: path.to_owned() });
        self.ids.insert(full, self.slots.len() - 1);
        Ok(self.slots.len() - 1)
    }

    /// Takes the place of a name, for its definition.
    fn define(&mut self, names: &Names, path: &str) -> Parsed {
        match self.ids.get(&names.full) {
            Some(id) if matches!(self.slots[*id], Slot::Open { .. }) => Ok(*id),
            Some(_) => Err(error(path, format!("`{}` is defined twice", names.full))),
            None => {
                let id = self.plain(Shape::Null, None);
                self.ids.insert(names.full.clone(), id);
                Ok(id)
            }
        }
    }

    fn names(&mut self, object: &Map<String, Json>, space: &str, path: &str) -> Parsed<Names> {
        let name = match object.get("name") {
            Some(Json::String(name)) => name.as_str(),
            _ => return Err(error(path, format!("the {} has no `name`", text(object, "type").unwrap_or("type")))),
        };
        let space = match (name.rsplit_once('.'), text(object, "namespace")) {
            (Some((space, _)), _) => space,
            (None, Some(own)) => own,
            (None, None) => space,
        };
        let short = name.rsplit('.').next().unwrap_or(name);
        let full = if space.is_empty() { short.to_owned() } else { format!("{space}.{short}") };
        short_enough(&full, path)?;
        if PRIMITIVES.contains(&full.as_str()) {
            return Err(error(path, format!("`{full}` is a type of Avro's and cannot be a name")));
        }
        if !is_full_name(&full) {
            let what = format!(
                "`{}` is no name: letters, digits and `_`, not a digit first, with dots between the parts",
                start(&full)
            );
            self.defect(path, what);
        }
        let mut aliases = Vec::new();
        for alias in self.aliases(object, path) {
            let whole =
                if alias.contains('.') || space.is_empty() { alias.to_owned() } else { format!("{space}.{alias}") };
            if !is_full_name(&whole) {
                self.defect(path, format!("the alias `{}` is no name", start(alias)));
            }
            aliases.push(whole);
        }
        Ok(Names { short: short.to_owned(), full, aliases })
    }

    fn record(&mut self, object: &Map<String, Json>, space: &str, path: &str) -> Parsed {
        let names = self.names(object, space, path)?;
        let id = self.define(&names, path)?;
        let Some(Json::Array(list)) = object.get("fields") else {
            return Err(error(path, format!("the record `{}` has no `fields`", names.full)));
        };
        // The place is taken while its fields are parsed, so that they may name it.
        self.slots[id] =
            Slot::Type(Type { shape: Shape::Record { names: names.clone(), fields: Vec::new() }, logical: None });
        let space = names.full.rsplit_once('.').map_or("", |(space, _)| space);
        let mut fields: Vec<FieldType> = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        for field in list {
            let field = self.field(field, space, path, &names.full)?;
            if !seen.insert(field.name.clone()) {
                return Err(error(
                    &join(path, &field.name),
                    format!("the record `{}` has the field twice", names.full),
                ));
            }
            fields.push(field);
        }
        self.slots[id] = Slot::Type(Type { shape: Shape::Record { names, fields }, logical: None });
        Ok(id)
    }

    fn field(&mut self, json: &Json, space: &str, path: &str, record: &str) -> Parsed<FieldType> {
        let none = |what: &str| error(path, format!("a field of the record `{record}` has no `{what}`"));
        let object = json.as_object().ok_or_else(|| none("name"))?;
        let name = text(object, "name").ok_or_else(|| none("name"))?;
        short_enough(name, path)?;
        let path = join(path, name);
        if !is_name(name) {
            self.defect(&path, format!("`{}` is no name: letters, digits and `_`, not a digit first", start(name)));
        }
        let kind = object.get("type").ok_or_else(|| error(&path, "the field has no `type`"))?;
        let id = self.any(kind, space, &path)?;
        let aliases = self.aliases(object, &path).into_iter().map(str::to_owned).collect();
        if let Some(order) = object.get("order").filter(|order| !ORDERS.contains(&order.as_str().unwrap_or_default())) {
            self.defect(&path, format!("`order` is {order}: expected one of {}", ORDERS.join(", ")));
        }
        Ok(FieldType { name: name.to_owned(), aliases, default: object.get("default").cloned(), id })
    }

    fn symbols(&mut self, object: &Map<String, Json>, space: &str, path: &str) -> Parsed {
        let names = self.names(object, space, path)?;
        let id = self.define(&names, path)?;
        let Some(Json::Array(list)) = object.get("symbols") else {
            return Err(error(path, format!("the enum `{}` has no `symbols`", names.full)));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        for symbol in list {
            let symbol = symbol
                .as_str()
                .ok_or_else(|| error(path, format!("`{}` is no symbol of an enum", start(&symbol.to_string()))))?;
            if !is_name(symbol) {
                self.defect(path, format!("`{}` is no name for a symbol", start(symbol)));
            }
            if !seen.insert(symbol) {
                return Err(error(path, format!("the enum `{}` has the symbol `{symbol}` twice", names.full)));
            }
            symbols.push(symbol.to_owned());
        }
        let mut default = text(object, "default").map(str::to_owned);
        if let Some(unknown) = default.take_if(|default| !symbols.contains(default)) {
            self.defect(path, format!("the default `{unknown}` is no symbol of the enum `{}`", names.full));
        }
        self.slots[id] = Slot::Type(Type { shape: Shape::Enum { names, symbols, default }, logical: None });
        Ok(id)
    }

    fn fixed(&mut self, object: &Map<String, Json>, space: &str, path: &str) -> Parsed {
        let names = self.names(object, space, path)?;
        let id = self.define(&names, path)?;
        let size = object.get("size").and_then(Json::as_u64).filter(|size| *size <= i32::MAX as u64);
        let Some(size) = size else {
            let there = object.get("size").map_or("is missing".to_owned(), |size| format!("is {size}"));
            return Err(error(
                path,
                format!("`size` of the fixed `{}` {there}: expected 0 to {}", names.full, i32::MAX),
            ));
        };
        let shape = Shape::Fixed { names, size: size as usize };
        let logical = logical(object, &shape);
        self.slots[id] = Slot::Type(Type { shape, logical });
        Ok(id)
    }

    fn union(&mut self, branches: &[Json], space: &str, path: &str) -> Parsed {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::new();
        for branch in branches {
            let id = self.any(branch, space, path)?;
            let word = match &self.slots[id] {
                Slot::Type(one) => one.shape.names().map_or(one.shape.word(), |names| names.full.as_str()).to_owned(),
                Slot::Open { full, .. } => full.clone(),
            };
            if word == "union" {
                self.defect(path, "a union cannot have another union as a branch");
            } else if !seen.insert(word.clone()) {
                self.defect(path, format!("the union has the branch `{word}` twice"));
            }
            ids.push(id);
        }
        Ok(self.plain(Shape::Union(ids), None))
    }

    /// Resolves names that were used before their definition, and looks at defaults.
    fn finish(self, root: TypeId) -> Result<AvroSchema, SchemaError> {
        let Self { slots, ids, defects } = self;
        let target = |id: TypeId| match &slots[id] {
            Slot::Open { full, bare, path } => match ids.get(bare) {
                Some(other) if matches!(slots[*other], Slot::Type(_)) => Ok(*other),
                _ => Err(error(
                    path,
                    format!("`{full}` is not defined: define it, or give the schema of that name as a reference"),
                )),
            },
            Slot::Type(_) => Ok(id),
        };
        let targets: Vec<TypeId> = (0..slots.len()).map(target).collect::<Result<_, _>>()?;
        let types = slots.into_iter().map(|slot| match slot {
            Slot::Type(mut one) => {
                one.shape.inner_mut().into_iter().for_each(|inner| *inner = targets[*inner]);
                one
            }
            // Nobody names it any more.
            Slot::Open { .. } => Type { shape: Shape::Null, logical: None },
        });
        let mut schema = AvroSchema { types: types.collect(), root: targets[root], defects };
        schema.defects.extend(bad_defaults(&schema));
        Ok(schema)
    }
}

/// Defaults that do not fit their types.
fn bad_defaults(schema: &AvroSchema) -> Vec<Defect> {
    let (mut bad, mut checker) = (Vec::new(), default::Checker::new(schema));
    for one in &schema.types {
        let Shape::Record { names, fields } = &one.shape else { continue };
        for field in fields {
            let Some(json) = &field.default else { continue };
            if bad.len() >= MOST_DEFECTS {
                return bad;
            }
            if let Err(what) = checker.check(field.id, json) {
                bad.push(error(&format!("{}.{}", names.full, field.name), what));
            }
        }
    }
    bad
}

const ORDERS: [&str; 3] = ["ascending", "descending", "ignore"];
const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

fn short_enough(name: &str, path: &str) -> Parsed<()> {
    if name.len() <= MOST_NAME {
        return Ok(());
    }
    Err(error(path, format!("the name `{}...` has {} bytes: at most {MOST_NAME}", start(name), name.len())))
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|one| one.is_alphanumeric() || one == '_')
}

fn is_full_name(text: &str) -> bool {
    text.split('.').all(is_name)
}

fn text<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Json::as_str)
}

/// What the value means. A logical type that does not fit its shape, or is not known, means nothing: so says the specification.
fn logical(object: &Map<String, Json>, shape: &Shape) -> Option<Logical> {
    Some(match (text(object, "logicalType")?, shape) {
        ("decimal", Shape::Bytes | Shape::Fixed { .. }) => return decimal(object, shape),
        ("uuid", Shape::String | Shape::Bytes | Shape::Fixed { size: 16, .. }) => Logical::Uuid,
        ("date", Shape::Int) => Logical::Date,
        ("time-millis", Shape::Int) => Logical::Time(1000),
        ("time-micros", Shape::Long) => Logical::Time(1),
        ("timestamp-millis" | "local-timestamp-millis", Shape::Long) => Logical::Timestamp(Unit::Millis),
        ("timestamp-micros" | "local-timestamp-micros", Shape::Long) => Logical::Timestamp(Unit::Micros),
        ("timestamp-nanos" | "local-timestamp-nanos", Shape::Long) => Logical::Timestamp(Unit::Nanos),
        ("duration", Shape::Fixed { size: 12, .. }) => Logical::Duration,
        _ => return None,
    })
}

fn decimal(object: &Map<String, Json>, shape: &Shape) -> Option<Logical> {
    let number = |key: &str| object.get(key).and_then(Json::as_u64).and_then(|value| usize::try_from(value).ok());
    let precision = number("precision").filter(|precision| *precision > 0)?;
    let scale = if object.contains_key("scale") { number("scale")? } else { 0 };
    let fits = match shape {
        // Whole digits that so many bytes with a sign can hold.
        Shape::Fixed { size, .. } => {
            precision as f64 <= ((8 * size).saturating_sub(1)) as f64 * std::f64::consts::LOG10_2
        }
        _ => true,
    };
    (scale <= precision && fits).then_some(Logical::Decimal { precision, scale })
}
