//! Masks fields that not everybody may see, and filters rows by equality: a plugin whose fields are named by its config.
//!
//! Values are hashed with HMAC-SHA-256 under the config's key, so that equal values stay equal and nobody without the key can try
//! values out. A field of `drop` is not read at all and so is not decoded either.

mod hash;

use hash::Keyed;
use pelton_sdk::batch::{self, Columns, Emit};
use pelton_sdk::bindings::types::{Column, Context, Failure, Kind, Manifest, Values};
use pelton_sdk::config;
use pelton_sdk::transform::{ColumnTransformer, input, manifest};
use pelton_sdk::value::{Builder, TextBuilder, take};

/// The type of a field.
#[config]
#[derive(Clone, Copy)]
enum Type {
    Text,
    Boolean,
    Int32,
    Int64,
    Float64,
    Timestamp,
    Date,
    Binary,
    Json,
}

impl Type {
    fn kind(self) -> Kind {
        match self {
            Type::Text => Kind::Text,
            Type::Boolean => Kind::Boolean,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Float64 => Kind::Float64,
            Type::Timestamp => Kind::Timestamp,
            Type::Date => Kind::Date,
            Type::Binary => Kind::Binary,
            Type::Json => Kind::Json,
        }
    }
}

/// What happens to the values of a field.
#[config]
#[derive(Clone, Copy, PartialEq)]
enum Mask {
    Keep,
    Drop,
    Hash,
    KeepLast,
}

#[config]
struct FieldRule {
    /// Dotted path of the field.
    path: String,
    /// Only text can be hashed or cut.
    #[serde(rename = "type")]
    kind: Type,
    /// keep, drop, hash, or keep_last (all but the last characters become `*`).
    mask: Mask,
    /// How many characters keep_last leaves.
    #[serde(default = "four")]
    last: u32,
}

fn four() -> u32 {
    4
}

#[config]
struct Equal {
    /// A text field; it may, but need not, be among `fields`.
    path: String,
    /// Rows whose field has another value, or none, are dropped.
    value: String,
}

#[config]
struct Settings {
    /// The fields of the output, in its order.
    fields: Vec<FieldRule>,
    /// Key of the hash; needed where a field is hashed.
    key: Option<String>,
    /// Only rows for which all of these hold are kept.
    #[serde(default)]
    only: Vec<Equal>,
}

struct MaskFields {
    rules: Vec<(Mask, u32)>,
    only: Vec<String>,
    keyed: Keyed,
}

impl Settings {
    fn kept(&self) -> impl Iterator<Item = &FieldRule> {
        self.fields.iter().filter(|rule| rule.mask != Mask::Drop)
    }

    fn check(&self) -> Result<(), String> {
        let masked = |rule: &&FieldRule| matches!(rule.mask, Mask::Hash | Mask::KeepLast);
        if let Some(rule) = self.fields.iter().filter(masked).find(|rule| !matches!(rule.kind, Type::Text)) {
            return Err(format!("field `{}` is not text; only text can be hashed or cut", rule.path));
        }
        let hashes = self.fields.iter().any(|rule| rule.mask == Mask::Hash);
        if hashes && self.key.as_ref().is_none_or(String::is_empty) {
            return Err("a field is hashed, but there is no `key`; set one and keep it secret".to_owned());
        }
        if self.kept().next().is_none() {
            return Err("no field is left; name at least one that is not dropped".to_owned());
        }
        Ok(())
    }
}

impl ColumnTransformer for MaskFields {
    type Config = Settings;

    fn describe(config: &Settings) -> Result<Manifest, String> {
        config.check()?;
        let kept = || config.kept().map(|rule| batch::field(&rule.path, rule.kind.kind(), true, ""));
        let compared = config.only.iter().map(|equal| batch::field(&equal.path, Kind::Text, true, ""));
        let mut manifest =
            manifest::<Settings>("mask", env!("CARGO_PKG_VERSION"), "Masks fields and filters rows by equality");
        manifest.inputs = vec![input(kept().chain(compared).collect(), pelton_sdk::bindings::types::Identity::empty())];
        manifest.outputs = vec![batch::output("out", kept().collect(), "the kept fields, masked")];
        Ok(manifest)
    }

    fn new(config: Settings, _: &Context) -> Result<Self, String> {
        config.check()?;
        let rules = config.kept().map(|rule| (rule.mask, rule.last)).collect();
        let only = config.only.into_iter().map(|equal| equal.value).collect();
        Ok(Self { rules, only, keyed: Keyed::new(config.key.unwrap_or_default().as_bytes()) })
    }

    fn process(&mut self, columns: &Columns<'_>, emit: &mut Emit) -> Result<(), Failure> {
        let mut source: Vec<u32> = (0..columns.count() as u32).collect();
        for (index, wanted) in self.only.iter().enumerate() {
            let cells = columns.cells::<Option<&str>>(self.rules.len() + index)?;
            source.retain(|row| cells.get(*row as usize) == Some(wanted));
        }
        if source.is_empty() {
            return Ok(());
        }
        let fields: Result<Vec<Column>, String> =
            self.rules.iter().enumerate().map(|(index, rule)| self.masked(columns, index, *rule, &source)).collect();
        emit.push(0, source, fields?);
        Ok(())
    }
}

impl MaskFields {
    fn masked(
        &self,
        columns: &Columns<'_>,
        index: usize,
        (mask, last): (Mask, u32),
        rows: &[u32],
    ) -> Result<Column, String> {
        let column = columns.column(index)?;
        if mask == Mask::Keep {
            return Ok(take(column, rows));
        }
        let cells = columns.cells::<Option<&str>>(index)?;
        let mut builder = <pelton_sdk::value::Nullable<TextBuilder>>::default();
        builder.reserve(rows.len());
        let mut text = String::new();
        for row in rows {
            let Some(value) = cells.get(*row as usize) else {
                builder.push_hidden();
                continue;
            };
            text.clear();
            match mask {
                Mask::Hash => self.keyed.hex(value.as_bytes(), &mut text),
                _ => keep_last(value, last as usize, &mut text),
            }
            pelton_sdk::value::Value::push(Some(text.as_str()), &mut builder);
        }
        let column = builder.finish();
        debug_assert!(matches!(column.values, Values::Text(_)));
        Ok(column)
    }
}

/// A value that is not longer than what is kept is hidden whole, or it would be shown whole.
fn keep_last(value: &str, last: usize, into: &mut String) {
    let count = value.chars().count();
    let hidden = if count <= last { count } else { count - last };
    into.extend(std::iter::repeat_n('*', hidden));
    into.extend(value.chars().skip(hidden));
}

pelton_sdk::column_transformer!(MaskFields);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::column_transformer::<MaskFields>,
        );
    }
}
