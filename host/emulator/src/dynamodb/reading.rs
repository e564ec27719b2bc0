//! Query and Scan, of tables and of their indexes.
//!
//! The rules: a page ends at Limit items looked at, or at one MiB, and says where the next one starts; a filter comes after
//! both. An index is computed from the items when it is asked, so it is never behind; a consistent read of it is refused
//! all the same, as at the service.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::error::{TableError, invalid, invalid_value};
use super::expression::{self, Condition, Path, Placeholders, WirePlaceholders, project};
use super::items::{WireProjection, attributes_to_get, one_style};
use super::keys::KeyCondition;
use super::legacy::{self, WireConditions};
use super::schema::{Index, ItemKey, Key, Projection};
use super::value::{Item, item_from_json, item_json, item_size};
use super::{Table, Tables, capacity, named, parse};

const MAX_PAGE_BYTES: usize = 1 << 20;
const MAX_SEGMENTS: i64 = 1_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    index_name: Option<String>,
    limit: Option<i64>,
    select: Option<String>,
    consistent_read: Option<bool>,
    scan_index_forward: Option<bool>,
    exclusive_start_key: Option<Map<String, Json>>,
    key_condition_expression: Option<String>,
    key_conditions: Option<WireConditions>,
    filter_expression: Option<String>,
    scan_filter: Option<WireConditions>,
    query_filter: Option<WireConditions>,
    conditional_operator: Option<String>,
    segment: Option<i64>,
    total_segments: Option<i64>,
    return_consumed_capacity: Option<String>,
    #[serde(flatten)]
    projection: WireProjection,
    #[serde(flatten)]
    placeholders: WirePlaceholders,
}

/// A request whose own contradictions are found.
struct Reading {
    key: Option<KeyCondition>,
    filter: Option<Condition>,
    paths: Option<Vec<Path>>,
    limit: usize,
    select: Option<String>,
    segment: Option<(u64, u64)>,
    start: Option<Item>,
    forward: bool,
    consistent: bool,
    index: Option<String>,
}

type Answer = Result<Json, TableError>;

pub fn scan(tables: &Tables, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    one_style(
        &[
            ("ScanFilter", request.scan_filter.is_some()),
            ("ConditionalOperator", request.conditional_operator.is_some()),
            ("AttributesToGet", request.projection.attributes_to_get.is_some()),
        ],
        &[
            ("FilterExpression", request.filter_expression.is_some()),
            ("ProjectionExpression", request.projection.projection_expression.is_some()),
        ],
    )?;
    read(tables, request, false)
}

pub fn query(tables: &Tables, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    one_style(
        &[
            ("KeyConditions", request.key_conditions.is_some()),
            ("QueryFilter", request.query_filter.is_some()),
            ("ConditionalOperator", request.conditional_operator.is_some()),
            ("AttributesToGet", request.projection.attributes_to_get.is_some()),
        ],
        &[
            ("KeyConditionExpression", request.key_condition_expression.is_some()),
            ("FilterExpression", request.filter_expression.is_some()),
            ("ProjectionExpression", request.projection.projection_expression.is_some()),
        ],
    )?;
    read(tables, request, true)
}

fn read(tables: &Tables, mut request: Request, query: bool) -> Answer {
    let name = named(request.table_name.as_deref())?.to_owned();
    let wish = request.return_consumed_capacity.take();
    let reading = Reading::checked(request, query)?;
    tables.with(Some(&name), |table| {
        let index = reading.index(table)?;
        let (mut out, bytes) = reading.page(table, index)?;
        let whole = if reading.consistent { 1.0 } else { 0.5 };
        capacity(&mut out, wish.as_deref(), &name, whole * bytes.div_ceil(4096).max(1) as f64);
        Ok(out)
    })
}

impl Reading {
    fn checked(request: Request, query: bool) -> Result<Self, TableError> {
        let text = |text: &Option<String>, is_for: bool| text.clone().filter(|_| is_for);
        let key_text = text(&request.key_condition_expression, query);
        let filter_text = text(&request.filter_expression, true);
        let paths_text = text(&request.projection.projection_expression, true);
        let expressions = [key_text.as_deref(), filter_text.as_deref(), paths_text.as_deref()];
        let placeholders = request.placeholders.checked(&expressions)?;
        let key = match (query, &key_text, &request.key_conditions) {
            (false, ..) => None,
            (true, Some(text), _) => Some(KeyCondition::of_expression(&expression::condition(
                "KeyConditionExpression",
                text,
                &placeholders,
            )?)?),
            (true, None, Some(conditions)) => Some(KeyCondition::of_conditions(conditions)?),
            (true, None, None) => {
                return Err(invalid(
                    "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
                ));
            }
        };
        let filters = if query { &request.query_filter } else { &request.scan_filter };
        let filter = match &filter_text {
            Some(text) => Some(expression::condition("FilterExpression", text, &placeholders)?),
            None => legacy::filter(filters.as_ref(), request.conditional_operator.as_deref())?,
        };
        let paths = paths_of(paths_text.as_deref(), request.projection.attributes_to_get.as_deref(), &placeholders)?;
        placeholders.all_used()?;
        let limit = match request.limit {
            None => usize::MAX,
            Some(limit) => usize::try_from(limit).ok().filter(|l| *l > 0).ok_or_else(|| {
                invalid(format!(
                    "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must \
                     have value greater than or equal to 1"
                ))
            })?,
        };
        let segment = if query { None } else { segment(request.segment, request.total_segments)? };
        let select = request.select;
        check_select(select.as_deref(), paths.is_some(), request.index_name.is_some())?;
        Ok(Self {
            key,
            filter,
            paths,
            limit,
            select,
            segment,
            start: request.exclusive_start_key.as_ref().map(item_from_json).transpose()?,
            forward: request.scan_index_forward.unwrap_or(true),
            consistent: request.consistent_read.unwrap_or(false),
            index: request.index_name,
        })
    }

    /// The index that is asked for, if one is, and whether it can answer.
    fn index<'a>(&self, table: &'a Table) -> Result<Option<&'a Index>, TableError> {
        let Some(name) = &self.index else { return Ok(None) };
        let found = table.definition.indexes.iter().find(|i| i.name == *name);
        let index = found.ok_or_else(|| invalid(format!("The table does not have the specified index: {name}")))?;
        if self.consistent {
            return Err(invalid("Consistent reads are not supported on global secondary indexes"));
        }
        if self.select.as_deref() == Some("ALL_ATTRIBUTES") && index.projection != Projection::All {
            return Err(invalid_value(format!(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its projection type \
                 is not ALL"
            )));
        }
        let key = &table.definition.key;
        let wanted = self.paths.iter().flatten().map(Path::top);
        let filtered = self.filter.iter().flat_map(Condition::tops);
        if let Some(lacking) = wanted.chain(filtered).find(|top| !index.projects(key, top)) {
            return Err(invalid_value(format!("Global secondary index {name} does not project [{lacking}]")));
        }
        Ok(Some(index))
    }

    /// The answer, and how many bytes were looked at.
    fn page(&self, table: &Table, index: Option<&Index>) -> Result<(Json, usize), TableError> {
        let key = index.map_or(&table.definition.key, |i| &i.key);
        let condition = self.key.as_ref().map(|k| k.checked(key)).transpose()?;
        if let (Some(_), Some(filter)) = (&condition, &self.filter)
            && let Some(top) = filter.tops().into_iter().find(|top| key.has(top))
        {
            return Err(invalid(format!(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: {top}"
            )));
        }
        let start = self.start.as_ref().map(|start| start_of(start, table, index)).transpose()?;
        if let (Some(condition), Some((start, _))) = (&condition, &start)
            && condition.hash != start.hash
        {
            return Err(invalid("The provided starting key is outside query boundaries based on provided conditions"));
        }
        let mut page = Page::default();
        let mut look = |place: (&ItemKey, &ItemKey), item: &Item| {
            let beyond = start
                .as_ref()
                .is_none_or(|(i, t)| ((place.0, place.1) > (i, t)) == self.forward && (place.0, place.1) != (i, t));
            let in_segment = self.segment.is_none_or(|(segment, total)| segment_of(&place.1.hash, total) == segment);
            let wanted = condition.as_ref().is_none_or(|c| c.holds(place.0));
            if !beyond || !in_segment || !wanted {
                return ControlFlow::Continue(());
            }
            self.take(&mut page, place.1, item, index.map(|i| (i, &table.definition.key)))
        };
        match index {
            None => {
                let mut places = table.items.iter();
                let mut next = || if self.forward { places.next() } else { places.next_back() };
                while let Some((place, item)) = next() {
                    if look((place, place), item).is_break() {
                        break;
                    }
                }
            }
            Some(index) => {
                let place = |(t, item)| Some((index.key.loose(item)?, t, item));
                let mut places: Vec<(ItemKey, &ItemKey, &Item)> = table.items.iter().filter_map(place).collect();
                places.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
                if !self.forward {
                    places.reverse();
                }
                let _ = places.iter().try_for_each(|(i, t, item)| look((i, t), item));
            }
        }
        let bytes = page.bytes;
        Ok((self.answer(page, table, index), bytes))
    }

    fn take(&self, page: &mut Page, key: &ItemKey, item: &Item, index: Option<(&Index, &Key)>) -> ControlFlow<()> {
        let shown = match index {
            Some((index, table)) => index.projected(table, item),
            None => item.clone(),
        };
        page.looked_at += 1;
        page.bytes += item_size(&shown);
        page.last = Some(key.clone());
        if self.filter.as_ref().is_none_or(|f| f.holds(&shown)) {
            page.count += 1;
            if self.select.as_deref() != Some("COUNT") {
                page.items.push(item_json(&match &self.paths {
                    Some(paths) => project(&shown, paths),
                    None => shown,
                }));
            }
        }
        page.ended_early = page.looked_at == self.limit || page.bytes >= MAX_PAGE_BYTES;
        if page.ended_early { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn answer(&self, page: Page, table: &Table, index: Option<&Index>) -> Json {
        let mut out = json!({ "Count": page.count, "ScannedCount": page.looked_at });
        if self.select.as_deref() != Some("COUNT") {
            out["Items"] = page.items.into();
        }
        if let (true, Some(last)) = (page.ended_early, page.last) {
            let mut place = last.to_item(&table.definition.key);
            if let (Some(index), Some(item)) = (index, table.items.get(&last))
                && let Some(key) = index.key.loose(item)
            {
                place.extend(key.to_item(&index.key));
            }
            out["LastEvaluatedKey"] = item_json(&place);
        }
        out
    }
}

#[derive(Default)]
struct Page {
    items: Vec<Json>,
    count: usize,
    looked_at: usize,
    bytes: usize,
    last: Option<ItemKey>,
    ended_early: bool,
}

fn paths_of(
    text: Option<&str>,
    names: Option<&[String]>,
    placeholders: &Placeholders,
) -> Result<Option<Vec<Path>>, TableError> {
    match (text, names) {
        (Some(text), _) => expression::projection(text, placeholders).map(Some),
        (None, Some(names)) => attributes_to_get(names).map(Some),
        (None, None) => Ok(None),
    }
}

fn segment(segment: Option<i64>, total: Option<i64>) -> Result<Option<(u64, u64)>, TableError> {
    match (segment, total) {
        (None, None) => Ok(None),
        (Some(segment), Some(total)) if (1..=MAX_SEGMENTS).contains(&total) && (0..total).contains(&segment) => {
            Ok(Some((segment as u64, total as u64)))
        }
        (Some(segment), Some(total)) => Err(invalid(format!(
            "1 validation error detected: Value '{segment}' at 'segment' failed to satisfy constraint: Member must have value \
             less than totalSegments, which is {total}"
        ))),
        _ => Err(invalid("The Segment and TotalSegments parameters are both required, or neither")),
    }
}

fn segment_of(hash: &super::value::KeyPart, total: u64) -> u64 {
    u64::from(crc32fast::hash(format!("{hash:?}").as_bytes())) % total
}

fn check_select(select: Option<&str>, projects: bool, index: bool) -> Result<(), TableError> {
    match select {
        None => Ok(()),
        Some("SPECIFIC_ATTRIBUTES") if projects => Ok(()),
        Some("SPECIFIC_ATTRIBUTES") => Err(invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        Some(other) if projects => Err(invalid(format!(
            "Cannot specify the ProjectionExpression or AttributesToGet when choosing to get {other}"
        ))),
        Some("ALL_PROJECTED_ATTRIBUTES") if !index => {
            Err(invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"))
        }
        Some("ALL_ATTRIBUTES" | "ALL_PROJECTED_ATTRIBUTES" | "COUNT") => Ok(()),
        Some(other) => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'select' failed to satisfy constraint: Member must satisfy enum \
             value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
        ))),
    }
}

/// ExclusiveStartKey as places in what is read and in the table.
fn start_of(start: &Item, table: &Table, index: Option<&Index>) -> Result<(ItemKey, ItemKey), TableError> {
    let key = &table.definition.key;
    let needed: BTreeSet<&String> =
        key.attributes().chain(index.iter().flat_map(|i| i.key.attributes())).map(|a| &a.name).collect();
    if !needed.into_iter().eq(start.keys()) {
        return Err(invalid("The provided starting key is invalid"));
    }
    let place = key.of(start)?;
    match index {
        None => Ok((place.clone(), place)),
        Some(index) => Ok((index.key.of(start)?, place)),
    }
}
