//! Rows as Avro records, for every sink that writes records one by one.
//!
//! The rule: what a row holds is written without loss, or the row is given back; which column becomes which field, and that it can, is decided
//! once, from the two schemas. Columns are found by the field's name, in nested records by the dotted path. A field without a column takes its
//! default. A record field `_pelton` with `id`, `generation` and `fence` says who wrote the result, as in JSON.
//! Left to others: registering the schema, and which frame stands in front (`job::build`).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int32Type, Int64Type,
        Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, UInt32Type, i256,
    },
    error::ArrowError,
};
use pelton_schema::{
    default::{self, long},
    types::{AvroSchema, FieldType, Logical, Shape, TypeId, Unit},
};
use serde_json::{Value as Json, json};

use super::id::Id;

/// The field that says who wrote a result.
pub const IDENTITY: &str = "_pelton";
/// How deep records nest.
const MOST_DEPTH: usize = 16;

/// Writes rows of one kind as records of one schema.
#[derive(Clone, Debug)]
pub struct Encoder {
    head: Vec<u8>,
    fields: Vec<Op>,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub id: Id,
    pub generation: u64,
    pub fence: u64,
}

#[derive(Clone, Debug)]
enum Op {
    /// always the same bytes
    Bytes(Vec<u8>),
    Cell(Cell),
    Id,
    Generation,
    Fence,
}

#[derive(Clone, Debug)]
struct Cell {
    column: usize,
    name: String,
    /// bytes of the branch of null, and of the value's, where the field is a union
    null: Option<Vec<u8>>,
    branch: Option<Vec<u8>>,
    form: Form,
}

/// How a value lies on the wire.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Boolean,
    Whole,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Symbol(Vec<String>),
    /// digits added behind the point, and the size of a fixed
    Decimal {
        shift: u32,
        size: Option<usize>,
    },
    /// microseconds times, or divided by, this
    Times(i64),
    Divided(i64),
}

impl Encoder {
    /// An encoder of rows of these columns. `head` stands in front of each record. The error names the field, and both sides.
    pub fn new(schema: &AvroSchema, rows: &Schema, head: Vec<u8>) -> Result<Self, String> {
        if schema.fields().is_empty() {
            return Err(format!("{} has no fields: results are records", schema.title()));
        }
        let mut fields = Vec::new();
        let rows = &plain_schema(rows);
        Compile { schema, rows, fields: &mut fields }.record(schema.fields(), "", 0)?;
        Ok(Self { head, fields })
    }

    /// A batch in the form that [`Encoder::encode`] wants: expressions make texts of several kinds.
    pub fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = plain_schema(&batch.schema());
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
    }

    /// The record of one row of a plain batch with those columns. The error says why the row cannot be written.
    pub fn encode(&self, batch: &RecordBatch, row: usize, who: Identity) -> Result<Vec<u8>, String> {
        let mut out = self.head.clone();
        for op in &self.fields {
            match op {
                Op::Bytes(bytes) => out.extend_from_slice(bytes),
                Op::Id => {
                    long(32, &mut out);
                    out.extend_from_slice(who.id.to_string().as_bytes());
                }
                Op::Generation => long(who.generation as i64, &mut out),
                Op::Fence => long(who.fence as i64, &mut out),
                Op::Cell(cell) => cell.write(batch.column(cell.column), row, &mut out)?,
            }
        }
        Ok(out)
    }
}

impl Cell {
    fn write(&self, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        if column.is_null(row) {
            let null = self
                .null
                .as_ref()
                .ok_or_else(|| format!("the field `{}` is null, and the schema does not let it be", self.name))?;
            out.extend_from_slice(null);
            return Ok(());
        }
        out.extend_from_slice(self.branch.as_deref().unwrap_or_default());
        let beyond = || format!("the field `{}` has a value that the schema cannot hold", self.name);
        match &self.form {
            Form::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            Form::Whole => long(whole(column, row), out),
            Form::Float => out.extend_from_slice(&(floating(column, row) as f32).to_le_bytes()),
            Form::Double => out.extend_from_slice(&floating(column, row).to_le_bytes()),
            Form::Bytes => {
                let bytes = bytes(column, row);
                long(bytes.len() as i64, out);
                out.extend_from_slice(bytes);
            }
            Form::Fixed(size) => {
                let bytes = bytes(column, row);
                if bytes.len() != *size {
                    return Err(format!(
                        "the field `{}` has {} bytes, and the schema says {size}",
                        self.name,
                        bytes.len()
                    ));
                }
                out.extend_from_slice(bytes);
            }
            Form::Symbol(symbols) => {
                let text = column.as_string::<i32>().value(row);
                let place = symbols.iter().position(|symbol| symbol == text);
                let unknown = || {
                    format!("the field `{}` is `{}`, which is no symbol of its enum", self.name, text.escape_debug())
                };
                long(place.ok_or_else(unknown)? as i64, out);
            }
            Form::Decimal { shift, size } => decimal(column, row, *shift, *size, out).ok_or_else(beyond)?,
            Form::Times(factor) => long(whole(column, row).checked_mul(*factor).ok_or_else(beyond)?, out),
            Form::Divided(by) => long(whole(column, row).div_euclid(*by), out),
        }
        Ok(())
    }
}

/// The columns with one kind of text and one of bytes.
fn plain_schema(rows: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| {
        let kind = match field.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(kind)
    };
    Schema::new(rows.fields().iter().map(plain).collect::<Vec<_>>())
}

fn whole(column: &ArrayRef, row: usize) -> i64 {
    match column.data_type() {
        DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::UInt32 => i64::from(column.as_primitive::<UInt32Type>().value(row)),
        DataType::Date32 => i64::from(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => column.as_primitive::<TimestampMillisecondType>().value(row),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row),
        _ => column.as_primitive::<Int64Type>().value(row),
    }
}

fn floating(column: &ArrayRef, row: usize) -> f64 {
    match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)),
        _ => whole(column, row) as f64,
    }
}

fn bytes(column: &ArrayRef, row: usize) -> &[u8] {
    match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().value(row),
        _ => column.as_string::<i32>().value(row).as_bytes(),
    }
}

/// A decimal as big-endian bytes: as few as it has, or as many as a fixed has.
fn decimal(column: &ArrayRef, row: usize, shift: u32, size: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let value = match column.data_type() {
        DataType::Decimal128(..) => i256::from_i128(column.as_primitive::<Decimal128Type>().value(row)),
        _ => column.as_primitive::<Decimal256Type>().value(row),
    };
    let factor = (0..shift).try_fold(i256::ONE, |factor, _| factor.checked_mul(i256::from(10)))?;
    let bytes = value.checked_mul(factor)?.to_be_bytes();
    let sign = if bytes[0] >= 0x80 { 0xff } else { 0 };
    let spare = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] >= 0x80) == (sign == 0xff)).count();
    let short = &bytes[spare.min(31)..];
    match size {
        None => long(short.len() as i64, out),
        Some(size) => out.extend(std::iter::repeat_n(sign, size.checked_sub(short.len())?)),
    }
    out.extend_from_slice(short);
    Some(())
}

struct Compile<'a> {
    schema: &'a AvroSchema,
    rows: &'a Schema,
    fields: &'a mut Vec<Op>,
}

impl Compile<'_> {
    fn record(&mut self, fields: &[FieldType], prefix: &str, depth: usize) -> Result<(), String> {
        if depth > MOST_DEPTH {
            return Err(format!("`{prefix}` nests records more than {MOST_DEPTH} deep"));
        }
        for field in fields {
            let path = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
            if path == IDENTITY {
                self.identity(field)?;
            } else if let Some((column, found)) = self.column(&path) {
                let cell = self.cell(field.id, column, &found)?;
                self.fields.push(Op::Cell(cell));
            } else if let (Shape::Record { fields, .. }, true) =
                (&self.schema.get(field.id).shape, self.has_inside(&path))
            {
                let fields = fields.clone();
                self.record(&fields, &path, depth + 1)?;
            } else if let Some(json) = &field.default {
                let mut bytes = Vec::new();
                default::encode(self.schema, field.id, json, &mut bytes)?;
                self.fields.push(Op::Bytes(bytes));
            } else {
                let names: Vec<&str> = self.rows.fields().iter().map(|field| field.name().as_str()).collect();
                return Err(format!(
                    "the schema wants `{path}`, and rows have {}; give it a default, or make the field",
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The column of a path. In a schema that was derived, dots of a name are underlines.
    fn column(&self, path: &str) -> Option<(usize, Field)> {
        let place = self.rows.fields().iter().position(|field| field.name() == path || plain(field.name()) == path)?;
        Some((place, self.rows.field(place).clone()))
    }

    fn has_inside(&self, path: &str) -> bool {
        self.rows.fields().iter().any(|field| field.name().strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }

    fn identity(&mut self, field: &FieldType) -> Result<(), String> {
        let Shape::Record { fields, .. } = &self.schema.get(field.id).shape else {
            return Err(format!(
                "`{IDENTITY}` is {}, and must be a record of id, generation and fence",
                self.schema.describe(field.id)
            ));
        };
        for part in fields {
            let shape = &self.schema.get(part.id).shape;
            self.fields.push(match (part.name.as_str(), shape) {
                ("id", Shape::String) => Op::Id,
                ("generation", Shape::Long) => Op::Generation,
                ("fence", Shape::Long) => Op::Fence,
                (name, shape) => {
                    let expected = "expected `id` (string), `generation` (long), `fence` (long)";
                    return Err(format!("`{IDENTITY}.{name}` is {}: {expected}", shape.word()));
                }
            });
        }
        Ok(())
    }

    fn cell(&self, id: TypeId, column: usize, field: &Field) -> Result<Cell, String> {
        let name = field.name().clone();
        let branch_bytes = |place: usize| {
            let mut bytes = Vec::new();
            long(place as i64, &mut bytes);
            bytes
        };
        let wrong = || {
            format!(
                "the field `{name}` is {}, which cannot be written as {}",
                field.data_type(),
                self.schema.describe(id)
            )
        };
        let Shape::Union(branches) = &self.schema.get(id).shape else {
            if field.is_nullable() {
                return Err(format!(
                    "the field `{name}` may be null, and the schema has {}: make it a union with null",
                    self.schema.describe(id)
                ));
            }
            let form = self.form(id, field.data_type()).ok_or_else(wrong)?;
            return Ok(Cell { column, name, null: None, branch: None, form });
        };
        let null = branches.iter().position(|branch| matches!(self.schema.get(*branch).shape, Shape::Null));
        if field.is_nullable() && null.is_none() {
            return Err(format!("the field `{name}` may be null, and the schema's union has no null"));
        }
        let fits = |(place, branch): (usize, &TypeId)| Some((place, self.form(*branch, field.data_type())?));
        let (place, form) = branches.iter().enumerate().find_map(fits).ok_or_else(wrong)?;
        Ok(Cell { column, name, null: null.map(branch_bytes), branch: Some(branch_bytes(place)), form })
    }

    /// How a column's values become values of a type, if they can.
    fn form(&self, id: TypeId, from: &DataType) -> Option<Form> {
        let one = self.schema.get(id);
        Some(match (&one.shape, one.logical, from) {
            (Shape::Boolean, _, DataType::Boolean) => Form::Boolean,
            (Shape::Int, Some(Logical::Date), DataType::Date32) => Form::Whole,
            (Shape::Int, None, DataType::Int32 | DataType::Date32) => Form::Whole,
            (Shape::Long, None, DataType::Int32 | DataType::Int64 | DataType::UInt32) => Form::Whole,
            (Shape::Long, Some(Logical::Timestamp(unit)), DataType::Timestamp(from, _)) => times(unit, *from)?,
            (Shape::Long, None, DataType::Timestamp(..)) => Form::Whole,
            (Shape::Float, _, DataType::Float32) => Form::Float,
            (Shape::Double, _, DataType::Float64 | DataType::Float32 | DataType::Int32 | DataType::UInt32) => {
                Form::Double
            }
            (Shape::String, _, DataType::Utf8) | (Shape::Bytes, None, DataType::Binary | DataType::Utf8) => Form::Bytes,
            (Shape::Fixed { size, .. }, None, DataType::Binary) => Form::Fixed(*size),
            (Shape::Enum { symbols, .. }, _, DataType::Utf8) => Form::Symbol(symbols.clone()),
            (
                shape,
                Some(Logical::Decimal { precision, scale }),
                DataType::Decimal128(digits, from) | DataType::Decimal256(digits, from),
            ) => {
                let shift = u32::try_from(i64::try_from(scale).ok()? - i64::from(*from)).ok()?;
                // As many digits before the point as the column may have.
                let room = precision.checked_sub(scale)? as i64 >= i64::from(*digits) - i64::from(*from);
                let size = if let Shape::Fixed { size, .. } = shape { Some(*size) } else { None };
                return room.then_some(Form::Decimal { shift, size });
            }
            _ => return None,
        })
    }
}

/// From a column's unit to a schema's; what is finer than milliseconds is cut where the schema has these.
fn times(unit: Unit, from: TimeUnit) -> Option<Form> {
    Some(match (unit, from) {
        (Unit::Micros, TimeUnit::Microsecond) | (Unit::Millis, TimeUnit::Millisecond) => Form::Whole,
        (Unit::Nanos, TimeUnit::Microsecond) | (Unit::Micros, TimeUnit::Millisecond) => Form::Times(1000),
        (Unit::Millis, TimeUnit::Microsecond) => Form::Divided(1000),
        _ => return None,
    })
}

/// A name without dots and other signs that Avro does not have.
fn plain(name: &str) -> String {
    let mut plain: String = name.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '_' }).collect();
    if plain.starts_with(|first: char| first.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

/// A schema that holds rows of these columns, with the identity of each result.
pub fn derive(name: &str, rows: &Schema) -> Result<Json, String> {
    let mut fields = Vec::new();
    for field in plain_schema(rows).fields() {
        let kind = kind(field.data_type()).ok_or_else(|| {
            format!(
                "the field `{}` is {}, for which no type is chosen by itself: give a `schema`",
                field.name(),
                field.data_type()
            )
        })?;
        fields.push(if field.is_nullable() {
            json!({ "name": plain(field.name()), "type": ["null", kind], "default": null })
        } else {
            json!({ "name": plain(field.name()), "type": kind })
        });
    }
    let identity = json!({ "type": "record", "name": format!("{}Identity", plain(name)), "fields": [
        { "name": "id", "type": "string" }, { "name": "generation", "type": "long" }, { "name": "fence", "type": "long" } ] });
    fields.push(json!({ "name": IDENTITY, "type": identity }));
    Ok(json!({ "type": "record", "name": plain(name), "fields": fields }))
}

fn kind(of: &DataType) -> Option<Json> {
    Some(match of {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("int"),
        DataType::Int64 | DataType::UInt32 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        DataType::Timestamp(TimeUnit::Millisecond, _) => json!({ "type": "long", "logicalType": "timestamp-millis" }),
        DataType::Date32 => json!({ "type": "int", "logicalType": "date" }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    fn rows() -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let columns: Vec<(&str, DataType, bool, ArrayRef)> = vec![
            ("b", DataType::Boolean, false, Arc::new(BooleanArray::from(vec![true, false]))),
            ("i", DataType::Int32, false, Arc::new(Int32Array::from(vec![-7, i32::MAX]))),
            ("l", DataType::Int64, true, Arc::new(Int64Array::from(vec![None, Some(i64::MIN)]))),
            ("d", DataType::Float64, false, Arc::new(Float64Array::from(vec![1.5, f64::MAX]))),
            ("at.place", DataType::Utf8, true, Arc::new(StringArray::from(vec![Some("ü"), None]))),
            ("raw", DataType::Binary, false, Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b"ab"]))),
            ("day", DataType::Date32, false, Arc::new(Date32Array::from(vec![0, 20_000]))),
            ("t", time, false, Arc::new(TimestampMicrosecondArray::from(vec![-1, 1_500]).with_timezone("UTC"))),
            (
                "price",
                DataType::Decimal128(9, 2),
                false,
                Arc::new(Decimal128Array::from(vec![-128, 25_600]).with_precision_and_scale(9, 2).unwrap()),
            ),
        ];
        let schema =
            columns.iter().map(|(name, kind, null, _)| Field::new(*name, kind.clone(), *null)).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(schema)), columns.into_iter().map(|column| column.3).collect())
            .unwrap()
    }

    const WHO: Identity = Identity { id: Id([0xab; 16]), generation: 2, fence: 3 };

    fn written(schema: &Json) -> Result<Vec<Vec<u8>>, String> {
        let rows = rows();
        let encoder =
            Encoder::new(&AvroSchema::parse_strict(&schema.to_string(), &[]).unwrap(), &rows.schema(), vec![9])?;
        (0..2).map(|row| encoder.encode(&rows, row, WHO)).collect()
    }

    /// apache-avro reads what is written.
    fn read(schema: &Json, record: &[u8]) -> Json {
        let schema = apache_avro::Schema::parse_str(&schema.to_string()).unwrap();
        let mut body = &record[1..];
        let value = apache_avro::reader::datum::GenericDatumReader::builder(&schema)
            .build()
            .unwrap()
            .read_value(&mut body)
            .unwrap();
        assert!(body.is_empty());
        Json::try_from(value).unwrap()
    }

    #[test]
    fn rows_are_read_back_by_another_library() {
        let schema = derive("sums-per key", &rows().schema()).unwrap();
        let records = written(&schema).unwrap();
        assert_eq!(records[0][0], 9);
        let first = read(&schema, &records[0]);
        assert_eq!(
            (&first["b"], &first["i"], &first["l"], &first["d"]),
            (&json!(true), &json!(-7), &Json::Null, &json!(1.5))
        );
        assert_eq!((&first["at_place"], &first["_pelton"]["fence"]), (&json!("ü"), &json!(3)));
        assert_eq!(first["_pelton"]["id"], "ab".repeat(16));
        let second = read(&schema, &records[1]);
        assert_eq!((&second["l"], &second["t"], &second["day"]), (&json!(i64::MIN), &json!(1500), &json!(20_000)));
    }

    #[test]
    fn a_schema_of_ones_own_may_nest_and_narrow_and_add_defaults() {
        let schema = json!({ "type": "record", "name": "Mine", "fields": [
            { "name": "at", "type": { "type": "record", "name": "At", "fields": [{ "name": "place", "type": ["string", "null"] }] } },
            { "name": "t", "type": { "type": "long", "logicalType": "timestamp-millis" } },
            { "name": "more", "type": { "type": "array", "items": "int" }, "default": [1] },
            { "name": "i", "type": ["null", "string", "long"] },
            { "name": "price", "type": { "type": "fixed", "name": "P", "size": 6, "logicalType": "decimal", "precision": 12, "scale": 4 } },
        ] });
        let records = written(&schema).unwrap();
        let body = |record: &[u8]| record[1..].to_vec();
        let price = |value: i64| value.to_be_bytes()[2..].to_vec();
        assert_eq!(body(&records[0]), [&[0, 4, 0xc3, 0xbc, 1, 2, 2, 0, 4, 13][..], &price(-12_800)].concat());
        assert_eq!(body(&records[1])[..3], [2, 2, 2]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let one = |field: Json| written(&json!({ "type": "record", "name": "R", "fields": [field] })).unwrap_err();
        assert!(one(json!({ "name": "x", "type": "int" })).contains("wants `x`"));
        assert!(one(json!({ "name": "l", "type": "long" })).contains("may be null"));
        assert!(one(json!({ "name": "d", "type": "int" })).contains("cannot be written as int"));
        assert!(one(json!({ "name": "raw", "type": { "type": "fixed", "name": "F", "size": 3 } })).contains("2 bytes"));
        let few = json!({ "type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 2 });
        assert!(one(json!({ "name": "price", "type": few })).contains("cannot be written"));
        let symbols = json!(["null", { "type": "enum", "name": "E", "symbols": ["A"] }]);
        assert!(one(json!({ "name": "at_place", "type": symbols })).contains("no symbol"));
    }
}
