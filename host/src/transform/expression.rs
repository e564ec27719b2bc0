//! SQL expressions over a batch: `filter:` and `select:`.
//!
//! The rule: an expression is a pure function of one record. Functions that are not deterministic, subqueries and aggregates are
//! refused when it is compiled; arithmetic that overflows or divides by zero fails that row alone, never the batch. Names are
//! case-sensitive, as fields are; `coords.latitude` reads the field of that path.
//! Left to others: which records go where, and the places of an expression's text in a file (`job`).

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{filter_record_batch, take_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{
        Column, DFSchema, DataFusionError, SchemaError, TableReference,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, Volatility},
    physical_expr::{PhysicalExpr, expressions::BinaryExpr},
    prelude::{SessionConfig, SessionContext},
    sql::sqlparser::{
        dialect::GenericDialect,
        tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
    },
};

use crate::{record::Batch, task};

/// An expression is written by a person.
const LONGEST: usize = 4096;
/// Operators and names: what bounds the depth of the tree.
const MOST_TOKENS: usize = 256;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// what kind of mistake it is
    pub kind: ProblemKind,
    /// in words
    pub message: String,
    /// bytes of the expression's text
    pub place: Option<Range<usize>>,
    /// the name that was not found, for "did you mean"
    pub unknown: Option<String>,
}

/// What kind of mistake an expression has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// the text is no expression
    Syntax,
    /// it reads a field that is not there
    UnknownField,
    /// it calls what is not there or must not be called
    Function,
    /// its types do not fit
    Type,
}

/// A compiled expression, bound to the columns of one schema.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    physical: Arc<dyn PhysicalExpr>,
    reads: Vec<String>,
    plain: Option<String>,
    data_type: DataType,
    nullable: bool,
}

/// What became of a batch: rows that failed are named by their row in the batch that was given, rising.
#[derive(Clone, Debug)]
pub struct Applied {
    /// the rows that did not fail
    pub batch: Batch,
    /// the others, with the reason
    pub rejects: Vec<(u32, String)>,
}

impl Expression {
    /// Compiles a text over a schema.
    pub fn compile(text: &str, schema: &Schema) -> Result<Self, Problem> {
        let tokens = tokens(text)?;
        // the planner recurses with large frames
        task::with_deep_stack(|| Self::plan(text, schema, &tokens)).unwrap_or_else(|error| {
            let message = format!("no thread to plan the expression: {error}");
            Err(Problem { kind: ProblemKind::Syntax, message, place: None, unknown: None })
        })
    }

    fn plan(text: &str, schema: &Schema, tokens: &[TokenWithSpan]) -> Result<Self, Problem> {
        let fields = qualified(schema).map_err(|error| problem(error, text, tokens))?;
        let context = session();
        let state = context.state();
        let logical = state.create_logical_expr(text, &fields).map_err(|error| problem(error, text, tokens))?;
        let logical = logical.unalias();
        refuse_impure(&logical, tokens, text)?;
        let physical =
            state.create_physical_expr(logical.clone(), &fields).map_err(|error| problem(error, text, tokens))?;
        let physical = checked(physical).map_err(|error| problem(error, text, tokens))?;
        let typed = physical.return_field(schema).map_err(|error| problem(error, text, tokens))?;
        let mut reads: Vec<String> =
            logical.column_refs().into_iter().map(Column::flat_name).map(|name| name.replace('"', "")).collect();
        reads.sort();
        let plain = matches!(&logical, Expr::Column(_)).then(|| reads.first().cloned()).flatten();
        let (data_type, nullable) = (typed.data_type().clone(), typed.is_nullable());
        Ok(Self { text: text.into(), physical, reads, plain, data_type, nullable })
    }

    /// The fields it reads, sorted.
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    /// The field it is, if it is nothing but a field.
    pub fn is_field(&self) -> Option<&str> {
        self.plain.as_deref()
    }

    /// The type of its result.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether its result may be null.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// The result for each row; rows that fail are named and their place in the result is null.
    fn evaluate(&self, fields: &RecordBatch) -> Evaluated {
        let mut failed = Vec::new();
        let whole = self.column(fields).map_err(|error| self.bisect(fields, 0, error, &mut failed));
        match whole {
            Ok(column) => Evaluated { column: Some(column), failed },
            Err(()) => Evaluated { column: None, failed },
        }
    }

    fn column(&self, fields: &RecordBatch) -> Result<ArrayRef, String> {
        let value = self.physical.evaluate(fields).map_err(|error| first_line(&error))?;
        value.into_array(fields.num_rows()).map_err(|error| first_line(&error))
    }

    /// Halves a batch that failed until the rows are alone that fail.
    fn bisect(&self, fields: &RecordBatch, first: usize, error: String, failed: &mut Vec<(u32, String)>) {
        let rows = fields.num_rows();
        if rows <= 1 {
            failed.push((first as u32, format!("`{}` fails: {error}", self.text)));
            return;
        }
        let half = rows / 2;
        for (start, length) in [(0, half), (half, rows - half)] {
            let part = fields.slice(start, length);
            if let Err(error) = self.column(&part) {
                self.bisect(&part, first + start, error, failed);
            }
        }
    }
}

struct Evaluated {
    column: Option<ArrayRef>,
    failed: Vec<(u32, String)>,
}

/// Keeps the rows for which an expression is true; null is not true.
#[derive(Clone, Debug)]
pub struct Filter(Expression);

impl Filter {
    /// An expression that gives a boolean, else none.
    pub fn new(expression: Expression) -> Option<Self> {
        (expression.data_type == DataType::Boolean).then_some(Self(expression))
    }

    /// Keeps what passes.
    pub fn apply(&self, batch: Batch) -> Applied {
        let evaluated = self.0.evaluate(&batch.fields);
        let (batch, rejects) = match evaluated.column {
            Some(column) => return Applied { batch: keep(&batch, column.as_boolean()), rejects: Vec::new() },
            None => (without(&batch, &evaluated.failed), evaluated.failed),
        };
        match self.0.column(&batch.fields) {
            Ok(column) => Applied { batch: keep(&batch, column.as_boolean()), rejects },
            Err(error) => all_fail(batch, rejects, &error),
        }
    }
}

/// New columns, one an expression.
#[derive(Clone, Debug)]
pub struct Select {
    expressions: Vec<Expression>,
    schema: SchemaRef,
}

impl Select {
    /// Names and expressions, in order.
    pub fn new(columns: Vec<(String, Expression)>) -> Self {
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, expression)| Field::new(name, expression.data_type.clone(), expression.nullable))
            .collect();
        let expressions = columns.into_iter().map(|(_, expression)| expression).collect();
        Self { expressions, schema: Arc::new(Schema::new(fields)) }
    }

    /// The columns that every batch will have.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Computes the columns.
    pub fn apply(&self, batch: Batch) -> Applied {
        if let Ok(fields) = self.columns(&batch.fields) {
            return Applied { batch: Batch { fields, ..batch }, rejects: Vec::new() };
        }
        let mut rejects: Vec<(u32, String)> = Vec::new();
        for expression in &self.expressions {
            rejects.extend(expression.evaluate(&batch.fields).failed);
        }
        rejects.sort_by_key(|(row, _)| *row);
        rejects.dedup_by_key(|(row, _)| *row);
        let batch = without(&batch, &rejects);
        match self.columns(&batch.fields) {
            Ok(fields) => Applied { batch: Batch { fields, ..batch }, rejects },
            Err(error) => {
                let fields = RecordBatch::new_empty(self.schema.clone());
                let failed = all_fail(batch, rejects, &error);
                Applied { batch: Batch { fields, ..failed.batch }, rejects: failed.rejects }
            }
        }
    }

    fn columns(&self, fields: &RecordBatch) -> Result<RecordBatch, String> {
        let columns: Result<Vec<ArrayRef>, String> =
            self.expressions.iter().map(|expression| expression.column(fields)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(fields.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns?, &options).map_err(|error| error.to_string())
    }
}

/// Rows that pass alone but not together: a defect of an expression, and still nobody's end.
fn all_fail(batch: Batch, mut rejects: Vec<(u32, String)>, error: &str) -> Applied {
    let known: std::collections::BTreeSet<u32> = rejects.iter().map(|(row, _)| *row).collect();
    let rows = (batch.len() + known.len()) as u32;
    rejects.extend((0..rows).filter(|row| !known.contains(row)).map(|row| (row, error.to_owned())));
    rejects.sort_by_key(|(row, _)| *row);
    Applied { batch: keep(&batch, &BooleanArray::from(vec![false; batch.len()])), rejects }
}

fn keep(batch: &Batch, mask: &BooleanArray) -> Batch {
    let rows: Vec<usize> = (0..mask.len()).filter(|row| mask.is_valid(*row) && mask.value(*row)).collect();
    if rows.len() == batch.len() {
        return batch.clone();
    }
    let fields = filter_record_batch(&batch.fields, mask).expect("the mask has one bit a row");
    aligned(batch, &rows, fields)
}

fn without(batch: &Batch, failed: &[(u32, String)]) -> Batch {
    let failed: std::collections::BTreeSet<u32> = failed.iter().map(|(row, _)| *row).collect();
    let rows: Vec<usize> = (0..batch.len()).filter(|row| !failed.contains(&(*row as u32))).collect();
    let indices = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
    let fields = take_record_batch(&batch.fields, &indices).expect("the rows are of this batch");
    aligned(batch, &rows, fields)
}

fn aligned(batch: &Batch, rows: &[usize], fields: RecordBatch) -> Batch {
    Batch {
        origin: batch.origin.clone(),
        rows: rows.iter().map(|row| batch.rows[*row]).collect(),
        nth: rows.iter().map(|row| batch.nth[*row]).collect(),
        event_us: rows.iter().map(|row| batch.event_us[*row]).collect(),
        watermark_us: rows.iter().map(|row| batch.watermark_us[*row]).collect(),
        fields,
    }
}

fn session() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    SessionContext::new_with_config(config)
}

/// `coords.latitude` is the field of that path, as SQL would name a column of a table.
fn qualified(schema: &Schema) -> Result<DFSchema, DataFusionError> {
    let fields = schema.fields().iter().map(|field| {
        let parts: Vec<&str> = field.name().split('.').collect();
        let (table, name) = match parts[..] {
            [table, name] => (Some(TableReference::bare(table)), name),
            [schema, table, name] => (Some(TableReference::partial(schema, table)), name),
            _ => (None, field.name().as_str()),
        };
        (table, Arc::new(field.as_ref().clone().with_name(name)))
    });
    DFSchema::new_with_metadata(fields.collect(), Default::default())
}

/// Integer arithmetic that overflows is an error, not another number.
fn checked(physical: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let rewritten = physical.transform_up(|node| {
        let Some(binary) = node.downcast_ref::<BinaryExpr>() else { return Ok(Transformed::no(node)) };
        let strict =
            BinaryExpr::new(binary.left().clone(), *binary.op(), binary.right().clone()).with_fail_on_overflow(true);
        Ok(Transformed::yes(Arc::new(strict)))
    })?;
    Ok(rewritten.data)
}

fn refuse_impure(logical: &Expr, tokens: &[TokenWithSpan], text: &str) -> Result<(), Problem> {
    let mut refused = None;
    let refuse = |what: String, name: &str| Problem {
        kind: ProblemKind::Function,
        message: what,
        place: place_of(name, tokens, text),
        unknown: None,
    };
    logical
        .apply(|node| {
            refused = match node {
                Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                    let why = "gives another answer each time; results must be the same when a record is read again";
                    Some(refuse(format!("the function `{}` {why}", call.func.name()), call.func.name()))
                }
                Expr::AggregateFunction(call) => {
                    let why = "computes over many records; use a step with `key`, `window` and `aggregate`";
                    Some(refuse(format!("the function `{}` {why}", call.func.name()), call.func.name()))
                }
                Expr::WindowFunction(_) => Some(refuse("a window function reads other records".into(), "over")),
                Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::OuterReferenceColumn(..) => {
                    Some(refuse("a subquery reads other records".into(), "select"))
                }
                Expr::Placeholder(_) => Some(refuse("a placeholder has no value here".into(), "?")),
                _ => None,
            };
            Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
        .expect("the visitor never fails");
    refused.map_or(Ok(()), Err)
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, Problem> {
    let syntax = |message: String, place| Problem { kind: ProblemKind::Syntax, message, place, unknown: None };
    if text.trim().is_empty() {
        return Err(syntax("the expression is empty".into(), None));
    }
    if text.len() > LONGEST {
        return Err(syntax(format!("the expression has {} bytes, at most {LONGEST} are allowed", text.len()), None));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().map_err(|error| {
        let at = byte_at(text, error.location);
        syntax(error.message.to_lowercase(), Some(at..next_char(text, at)))
    })?;
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    if tokens.len() > MOST_TOKENS {
        return Err(syntax(
            format!("the expression has {} words, at most {MOST_TOKENS} are allowed", tokens.len()),
            None,
        ));
    }
    Ok(tokens)
}

/// The words of DataFusion, with a place where one can be told.
fn problem(error: DataFusionError, text: &str, tokens: &[TokenWithSpan]) -> Problem {
    let root = error.find_root();
    if let DataFusionError::SchemaError(schema_error, _) = root
        && let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref()
    {
        let name = field.flat_name().replace('"', "");
        let place = place_of(&field.name, tokens, text);
        return Problem {
            kind: ProblemKind::UnknownField,
            message: format!("there is no field `{name}`"),
            place,
            unknown: Some(name),
        };
    }
    let message = first_line(root);
    let kind = match root {
        DataFusionError::SQL(..) => ProblemKind::Syntax,
        _ if message.starts_with("Invalid function") => ProblemKind::Function,
        _ => ProblemKind::Type,
    };
    let unknown = (kind == ProblemKind::Function).then(|| message.split('\'').nth(1).unwrap_or_default().to_owned());
    let place = match &unknown {
        Some(name) => place_of(name, tokens, text),
        None => told_place(&message, text),
    };
    let message = match &unknown {
        Some(name) => format!("there is no function `{name}`"),
        None => {
            message.split(" at Line:").next().unwrap_or_default().trim_start_matches("sql parser error: ").to_owned()
        }
    };
    Problem { kind, message, place, unknown }
}

fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let line = text.lines().next().unwrap_or_default();
    let mut line = line.trim();
    for prefix in
        ["Error during planning: ", "SQL error: ParserError(\"", "Arrow error: ", "This feature is not implemented: "]
    {
        line = line.trim_start_matches(prefix);
    }
    line.trim_end_matches("\")").to_owned()
}

/// The parser tells its place in words only.
fn told_place(message: &str, text: &str) -> Option<Range<usize>> {
    let told = message.split(" at Line: ").nth(1)?;
    let mut numbers = told.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let location = Location { line: numbers.next()?.parse().ok()?, column: numbers.next()?.parse().ok()? };
    let at = byte_at(text, location);
    Some(at..next_char(text, at))
}

fn place_of(name: &str, tokens: &[TokenWithSpan], text: &str) -> Option<Range<usize>> {
    let token = tokens.iter().find(|token| match &token.token {
        Token::Word(word) => word.value == name || word.value.eq_ignore_ascii_case(name),
        _ => false,
    })?;
    let start = byte_at(text, token.span.start);
    Some(start..byte_at(text, token.span.end).max(next_char(text, start)))
}

fn byte_at(text: &str, location: Location) -> usize {
    let before: usize = text.split_inclusive('\n').take((location.line as usize).saturating_sub(1)).map(str::len).sum();
    let line = &text[before.min(text.len())..];
    let column = (location.column as usize).saturating_sub(1);
    before + line.char_indices().nth(column).map_or(line.trim_end_matches('\n').len(), |(byte, _)| byte)
}

fn next_char(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(at, |c| at + c.len_utf8())
}

#[cfg(test)]
mod tests;
