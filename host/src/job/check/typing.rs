//! Fields and types along the wiring: what each node reads, and which columns leave it.
//!
//! The rule: this runs twice with the same code, first over all fields a source has, to find mistakes, then over the fields that
//! somebody reads, to fix the columns that will really flow.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::{
    Check,
    wiring::{Draft, DraftKind, KeyedDraft, Sql, WindowDraft},
};
use crate::{
    decode::{FieldPath, WantedField, columns::arrow_schema},
    job::{
        diagnostic::Diagnostic,
        graph::{Aggregate, KeyedTransform, Plugin},
        interface::{PluginField, PluginOutput, type_name},
    },
    state::codec::KeyCodec,
    transform::expression::{Expression, Problem, ProblemKind},
    window::{
        aggregate::Aggregate as _,
        built_in::{BuiltIn, Wanted},
    },
};

/// What is known about the columns of an output.
#[derive(Clone, Debug)]
pub enum Columns {
    /// these and no others
    Known(SchemaRef),
    /// any: records whose fields nobody declared
    Open,
    /// a mistake was reported: say nothing more
    Broken,
}

/// What a node reads of its input.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// every column
    pub all: bool,
    /// columns by name, with the type where the reader decides it
    pub fields: Vec<(String, Option<Field>)>,
    /// what a reader of these outputs reads is read here too
    pub passes: Vec<usize>,
}

/// By node: the columns that arrive, by input of a plugin, and what typing gave.
pub type Types = BTreeMap<usize, (Vec<Columns>, Typed)>;

/// What typing a node gave.
pub struct Typed {
    pub outputs: Vec<Columns>,
    /// by input; nothing is read by those that are not there
    pub reads: Vec<Reads>,
}

impl Typed {
    fn new(outputs: Vec<Columns>, reads: Reads) -> Self {
        Self { outputs, reads: vec![reads] }
    }

    /// What is read by an input.
    pub fn reads(&self, port: usize) -> Option<&Reads> {
        self.reads.get(port)
    }
}

/// The columns of a window's rows: key, window, firing, then what was computed.
fn window_columns(key: impl IntoIterator<Item = FieldRef>, computed: impl IntoIterator<Item = FieldRef>) -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let own = [
        Field::new("window_start", time.clone(), false),
        Field::new("window_end", time, false),
        Field::new("firing", DataType::Utf8, false),
        Field::new("firing_number", DataType::UInt32, false),
    ];
    Schema::new(key.into_iter().chain(own.map(Arc::new)).chain(computed).collect::<Vec<FieldRef>>())
}

impl Check<'_> {
    /// A field of columns; its absence is reported.
    pub(super) fn field_of(&self, columns: &Columns, field: &str, place: &Range<usize>) -> Option<FieldRef> {
        let schema = self.known(columns, &format!("`{field}`"), place)?;
        if let Some((_, found)) = schema.fields().find(field) {
            return Some(found.clone());
        }
        let mistake =
            Diagnostic::new("E0401", place.clone(), format!("there is no field `{field}`")).label("unknown field");
        self.report(mistake.suggest(field, schema.fields().iter().map(|field| field.name().as_str())));
        None
    }

    /// The columns, if they are declared; if nobody declared them, that is reported.
    fn known<'c>(&self, columns: &'c Columns, what: &str, place: &Range<usize>) -> Option<&'c SchemaRef> {
        match columns {
            Columns::Known(schema) => Some(schema),
            Columns::Broken => None,
            Columns::Open => {
                let message = format!("{what} is read, and the source does not say which fields its JSON records have");
                let help = "declare them: `format: { json: { fields: { amount: float64, note: text? } } }`";
                self.report(Diagnostic::new("E0404", place.clone(), message).help(help));
                None
            }
        }
    }

    /// Types a node over its input.
    pub(super) fn typed(&self, draft: &Draft<'_>, inputs: &[Columns]) -> Typed {
        let broken = |outputs| Typed::new(vec![Columns::Broken; outputs], Reads::default());
        let input = inputs.first().unwrap_or(&Columns::Broken);
        let outputs = draft.outputs().map_or(1, |outputs| outputs.len());
        match &draft.kind {
            None => broken(outputs),
            Some(DraftKind::Source(_, columns)) => Typed::new(vec![columns.clone()], Reads::default()),
            Some(DraftKind::Filter(sql)) => self.filter(sql, input).unwrap_or_else(|| broken(outputs)),
            Some(DraftKind::Select(columns)) => self.selected(columns, input).unwrap_or_else(|| broken(outputs)),
            Some(DraftKind::Transform(plugin, place)) => {
                let fields = self.wishes(plugin, 0, input, place);
                let outputs =
                    plugin.interface.outputs.iter().map(|output| Columns::Known(output_schema(output))).collect();
                Typed::new(outputs, Reads { fields, ..Reads::default() })
            }
            Some(DraftKind::KeyedTransform(keyed)) => self.keyed(keyed, inputs),
            Some(DraftKind::Window(window)) => self.windowed(window, input),
            Some(DraftKind::Sink(_, key)) => {
                let place = draft.from.first().map_or(draft.place.clone(), |(_, place)| place.clone());
                self.known(input, "every field", &place);
                if let Some(key) = key
                    && let Some(name) = &key.value
                    && matches!(input, Columns::Known(_))
                {
                    self.field_of(input, name, &key.place);
                }
                Typed::new(Vec::new(), Reads { all: true, ..Reads::default() })
            }
        }
    }

    fn expression(&self, sql: &Sql, schema: &Schema) -> Option<Expression> {
        match Expression::compile(&sql.text, schema) {
            Ok(expression) => Some(expression),
            Err(problem) => {
                self.report_sql(sql, schema, problem);
                None
            }
        }
    }

    fn report_sql(&self, sql: &Sql, schema: &Schema, problem: Problem) {
        let (code, message) = match problem.kind {
            ProblemKind::UnknownField => ("E0401", problem.message),
            ProblemKind::Syntax => ("E0402", format!("this is no SQL expression: {}", problem.message)),
            ProblemKind::Function => ("E0407", problem.message),
            ProblemKind::Type => ("E0403", format!("the types of this expression do not fit: {}", problem.message)),
        };
        let mistake = Diagnostic::new(code, self.place_in(sql, problem.place), message);
        self.report(match (problem.kind, problem.unknown) {
            (ProblemKind::UnknownField, Some(name)) => {
                mistake.label("unknown field").suggest(&name, schema.fields().iter().map(|field| field.name().as_str()))
            }
            _ => mistake,
        });
    }

    /// A place in an expression's text as a place in the file, if the text stands there as it is.
    fn place_in(&self, sql: &Sql, place: Option<Range<usize>>) -> Range<usize> {
        let Some(place) = place else { return sql.place.clone() };
        let written = self.file.text.get(sql.place.clone()).unwrap_or_default();
        let offset = if written == sql.text {
            0
        } else if written.len() == sql.text.len() + 2 && written.get(1..written.len() - 1) == Some(sql.text.as_str()) {
            1
        } else {
            return sql.place.clone();
        };
        let start = sql.place.start + offset;
        start + place.start..start + place.end
    }

    fn filter(&self, sql: &Sql, input: &Columns) -> Option<Typed> {
        let schema = self.known(input, "a field", &sql.place)?;
        let expression = self.expression(sql, schema)?;
        if *expression.data_type() != DataType::Boolean {
            let message = format!("a filter must be true or false, and this is {}", type_name(expression.data_type()));
            self.report(
                Diagnostic::new("E0406", sql.place.clone(), message).help("compare it with something: `amount > 0`"),
            );
            return None;
        }
        let fields = expression.reads().iter().map(|name| (name.clone(), None)).collect();
        Some(Typed::new(vec![input.clone()], Reads { fields, passes: vec![0], all: false }))
    }

    fn selected(&self, columns: &[(String, Sql)], input: &Columns) -> Option<Typed> {
        let place = columns.first().map_or(0..0, |(_, sql)| sql.place.clone());
        let schema = self.known(input, "a field", &place)?;
        let expressions: Vec<Option<Expression>> =
            columns.iter().map(|(_, sql)| self.expression(sql, schema)).collect();
        let expressions: Vec<Expression> = expressions.into_iter().collect::<Option<_>>()?;
        let mut reads = Reads::default();
        let mut fields = Vec::new();
        for ((name, _), expression) in columns.iter().zip(&expressions) {
            fields.push(Field::new(name, expression.data_type().clone(), expression.nullable()));
            reads.fields.extend(expression.reads().iter().map(|name| (name.clone(), None)));
        }
        Some(Typed::new(vec![Columns::Known(Arc::new(Schema::new(fields)))], reads))
    }

    /// What a plugin wants, against what there is.
    fn wishes(
        &self,
        plugin: &Plugin,
        port: usize,
        input: &Columns,
        place: &Range<usize>,
    ) -> Vec<(String, Option<Field>)> {
        let interface = &plugin.interface;
        let mut read = Vec::new();
        for wish in interface.inputs.get(port).into_iter().flat_map(|input| &input.wants) {
            let Columns::Known(schema) = input else {
                read.push((wish.path.clone(), Some(column(wish))));
                continue;
            };
            let about =
                format!("the plugin `{}` wants the field `{}` ({})", interface.name, wish.path, wish.kind.name());
            let Some((_, found)) = schema.fields().find(&wish.path) else {
                if !wish.optional {
                    let mistake =
                        Diagnostic::new("E0503", place.clone(), format!("{about}, and its input has no such field"));
                    self.report(mistake.suggest(&wish.path, schema.fields().iter().map(|field| field.name().as_str())));
                }
                continue;
            };
            if !wish.kind.takes(found.data_type()) {
                let message = format!("{about}, and its input has it as {}", type_name(found.data_type()));
                self.report(
                    Diagnostic::new("E0504", place.clone(), message).help("convert it with a `select:` step before"),
                );
            } else if found.is_nullable() && !wish.optional {
                let message = format!("{about}, and in its input it may be null");
                let help =
                    "make it an `Option` in the plugin, or fill it with `coalesce(...)` in a `select:` step before";
                self.report(Diagnostic::new("E0504", place.clone(), message).help(help));
            }
            read.push((wish.path.clone(), None));
        }
        read
    }

    fn keyed(&self, draft: &KeyedDraft, inputs: &[Columns]) -> Typed {
        let KeyedTransform { key, plugin, .. } = &draft.transform;
        let mut reads = Vec::new();
        let mut keys: Vec<Vec<Option<FieldRef>>> = Vec::new();
        for (port, input) in inputs.iter().enumerate() {
            let mut fields = self.wishes(plugin, port, input, &draft.place);
            fields.extend(key.iter().map(|name| (name.clone(), None)));
            reads.push(Reads { fields, ..Reads::default() });
            let places = key.iter().zip(&draft.key_places);
            keys.push(places.map(|(name, place)| self.key_field(input, name, place)).collect());
        }
        self.same_keys(draft, &keys);
        self.fits_key(plugin, keys.first().map_or(&[][..], Vec::as_slice), draft);
        let outputs = plugin.interface.outputs.iter().map(|output| Columns::Known(output_schema(output))).collect();
        Typed { outputs, reads }
    }

    /// A key has one type, whichever input it comes by.
    fn same_keys(&self, draft: &KeyedDraft, keys: &[Vec<Option<FieldRef>>]) {
        let Some((first, others)) = keys.split_first() else { return };
        for other in others {
            for ((a, b), place) in first.iter().zip(other).zip(&draft.key_places) {
                if let (Some(a), Some(b)) = (a, b)
                    && a.data_type() != b.data_type()
                {
                    let (one, two) = (type_name(a.data_type()), type_name(b.data_type()));
                    let message = format!("the key `{}` is {one} in one input and {two} in another", a.name());
                    let mistake = Diagnostic::new("E0308", place.clone(), message);
                    self.report(mistake.help("bring them to one type with a `select:` step"));
                }
            }
        }
    }

    /// The key fields that a plugin needs, against those that the step has.
    fn fits_key(&self, plugin: &Plugin, found: &[Option<FieldRef>], draft: &KeyedDraft) {
        let interface = &plugin.interface;
        if interface.key.is_empty() {
            return;
        }
        let needs: Vec<String> =
            interface.key.iter().map(|field| format!("{} ({})", field.path, field.kind.name())).collect();
        let needs = format!("the plugin `{}` needs a key of {}", interface.name, needs.join(", "));
        if found.len() != interface.key.len() {
            let message = format!("{needs}, and the step has {} key fields", found.len());
            return self.report(Diagnostic::new("E0506", draft.place.clone(), message));
        }
        for ((wish, found), place) in interface.key.iter().zip(found).zip(&draft.key_places) {
            let Some(found) = found else { continue };
            if !wish.kind.takes(found.data_type()) {
                let message = format!("{needs}, and `{}` is {}", found.name(), type_name(found.data_type()));
                self.report(Diagnostic::new("E0506", place.clone(), message));
            } else if found.is_nullable() && !wish.optional {
                let message = format!("{needs}, and `{}` may be null", found.name());
                let help =
                    "make it an `Option` in the plugin, or fill it with `coalesce(...)` in a `select:` step before";
                self.report(Diagnostic::new("E0506", place.clone(), message).help(help));
            }
        }
    }

    fn windowed(&self, draft: &WindowDraft, input: &Columns) -> Typed {
        let window = &draft.window;
        let mut reads = Reads { passes: vec![1], ..Reads::default() };
        let mut key = Vec::new();
        for (name, place) in window.key.iter().zip(&draft.key_places) {
            reads.fields.push((name.clone(), None));
            key.extend(self.key_field(input, name, place));
        }
        let complete = key.len() == window.key.len();
        let computed = match &window.aggregate {
            Aggregate::Plugin(plugin) => {
                let place = draft.aggregate_places.first().cloned().unwrap_or_default();
                reads.fields.extend(self.wishes(plugin, 0, input, &place));
                Some(
                    plugin
                        .interface
                        .outputs
                        .first()
                        .map_or(Vec::new(), |output| output_schema(output).fields().iter().cloned().collect()),
                )
            }
            Aggregate::BuiltIn(columns) => {
                reads.fields.extend(columns.iter().filter_map(|column| Some((column.field.clone()?, None))));
                self.computed(draft, input)
            }
        };
        let rows = match computed {
            Some(computed) if complete && draft.complete => self.distinct(draft, window_columns(key, computed)),
            _ => Columns::Broken,
        };
        Typed::new(vec![rows, input.clone()], reads)
    }

    /// The fields of built-in aggregates, as the window itself will make them.
    fn computed(&self, draft: &WindowDraft, input: &Columns) -> Option<Vec<FieldRef>> {
        let Aggregate::BuiltIn(columns) = &draft.window.aggregate else { return None };
        let mut fields = Vec::new();
        for (column, place) in columns.iter().zip(&draft.aggregate_places) {
            if let Some(name) = &column.field {
                self.field_of(input, name, place);
            }
            let Columns::Known(schema) = input else { continue };
            let wanted = Wanted { name: column.name.clone(), function: column.function, column: column.field.clone() };
            match BuiltIn::new(schema, &[wanted]) {
                Ok(built_in) => fields.extend(built_in.fields().iter().cloned()),
                Err(_) if column.field.as_ref().is_some_and(|name| schema.fields().find(name).is_none()) => {}
                Err(error) => self.report(Diagnostic::new("E0306", place.clone(), error.to_string())),
            }
        }
        (fields.len() == columns.len()).then_some(fields)
    }

    /// A key field: there, and of a type that makes a key.
    fn key_field(&self, input: &Columns, name: &String, place: &Range<usize>) -> Option<FieldRef> {
        let field = self.field_of(input, name, place)?;
        let Columns::Known(schema) = input else { return None };
        match KeyCodec::new(schema, std::slice::from_ref(name)) {
            Ok(_) => Some(field),
            Err(error) => {
                self.report(Diagnostic::new("E0308", place.clone(), error.to_string()));
                None
            }
        }
    }

    fn distinct(&self, draft: &WindowDraft, schema: Schema) -> Columns {
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        if let Some(twice) = (1..names.len()).find(|index| names[..*index].contains(&names[*index])) {
            let message = format!("the result would have two fields named `{}`", names[twice]);
            let place = draft.aggregate_places.first().cloned().unwrap_or_default();
            let mistake = Diagnostic::new("E0307", place, message);
            self.report(mistake.help(
                "a window's rows have the key fields, window_start, window_end, firing and firing_number already",
            ));
            return Columns::Broken;
        }
        Columns::Known(Arc::new(schema))
    }
}

fn column(field: &PluginField) -> Field {
    let wanted = WantedField { path: FieldPath::new(&field.path), kind: field.kind.kind(), optional: field.optional };
    arrow_schema(&[wanted]).field(0).clone()
}

/// The columns of a plugin's output.
fn output_schema(output: &PluginOutput) -> SchemaRef {
    if output.fields.is_empty() {
        return Arc::new(Schema::new(vec![Field::new("payload", DataType::Binary, false)]));
    }
    Arc::new(Schema::new(output.fields.iter().map(column).collect::<Vec<_>>()))
}
