//! Steps: exactly one action each, with what belongs to it.

use std::{ops::Range, time::Duration};

use serde_json::Value as Json;

use super::{
    Check,
    plugins::{self, Beside},
    quantity::duration,
    wiring::{Draft, DraftKind, KeyedDraft, Names, Sql, WindowDraft},
};
use crate::job::{
    diagnostic::Diagnostic,
    file::{
        raw,
        read::{At, Named},
    },
    graph::{Aggregate, Column, Function, KeyedTransform, OnError, Order, Plugin, Window},
    interface::World,
};
use crate::plugin::Bounds;

/// The worlds that `transform:` runs.
const TRANSFORMS: [World; 4] =
    [World::Transformer, World::StatefulTransformer, World::KeyedTransformer, World::Enricher];

const FUNCTIONS: [(&str, Function); 5] = [
    ("count", Function::Count),
    ("sum", Function::Sum),
    ("avg", Function::Avg),
    ("min", Function::Min),
    ("max", Function::Max),
];

impl<'a> Check<'a> {
    pub(super) fn steps(&self, steps: &'a Named<raw::Step>) -> Vec<Draft<'a>> {
        steps.0.iter().filter_map(|(name, step)| self.step(name, step)).collect()
    }

    fn step(&self, name: &'a At<String>, step: &'a At<raw::Step>) -> Option<Draft<'a>> {
        let text = name.value.as_ref()?;
        self.name(text, &name.place);
        let raw = step.value.as_ref();
        let (from, into) = raw.map_or_else(Default::default, |raw| self.step_from(raw, &name.place));
        let kind = raw.and_then(|raw| self.action(raw, &name.place, &into));
        Some(Draft::new(text, name.place.clone(), kind, from))
    }

    fn action(&self, step: &'a raw::Step, owner: &Range<usize>, into: &Names<'a>) -> Option<DraftKind<'a>> {
        let keys = [
            ("filter", step.filter.as_ref().map(|at| &at.place)),
            ("select", step.select.as_ref().map(|at| &at.place)),
            ("transform", step.transform.as_ref().map(|at| &at.place)),
            ("aggregate", step.aggregate.as_ref().map(|at| &at.place)),
        ];
        let action = self.exactly_one("a step", owner, &keys)?;
        if let (true, Some((_, place))) = (action != 2, into.first()) {
            let mistake = Diagnostic::new("E0507", place.clone(), "only plugins have inputs by name");
            self.report(mistake.help("name one source or step, or a list of them"));
        }
        if action < 3 {
            self.only_with_aggregate(step, action == 2);
        }
        match action {
            0 => self.given(&step.filter).map(|(text, place)| DraftKind::Filter(Sql { text: text.clone(), place })),
            1 => self.select(self.given(&step.select)?.0),
            2 => {
                let (transform, place) = self.given(&step.transform)?;
                let on_error = self.given(&transform.on_error).map_or(OnError::default(), |(policy, _)| *policy);
                let plugin = self.needed(&transform.plugin, "plugin", &place)?;
                let config = self
                    .given(&transform.config)
                    .map_or(Json::Object(Default::default()), |(config, _)| config.clone());
                let (digest, allow, limits) =
                    (self.given(&transform.digest), self.given(&transform.allow), self.given(&transform.limits));
                let beside = Beside { config, on_error, digest, allow, limits };
                let plugin = self.plugin(plugin.0, plugin.1.clone(), beside, &TRANSFORMS)?;
                let plugin = self.ordered(transform, plugin);
                self.transform(step, plugin, transform.plugin.as_ref()?.place.clone(), into)
            }
            _ => self.window(step, owner),
        }
    }

    /// A plugin with state needs a key, and any other has none.
    fn transform(
        &self,
        step: &'a raw::Step,
        plugin: Plugin,
        place: Range<usize>,
        into: &Names<'a>,
    ) -> Option<DraftKind<'a>> {
        let name = &plugin.interface.name;
        let has_state = matches!(plugin.interface.world, World::StatefulTransformer | World::KeyedTransformer);
        if let (false, Some((_, place))) = (has_state, into.first()) {
            let mistake =
                Diagnostic::new("E0507", place.clone(), format!("the plugin `{name}` has one input, without a name"));
            self.report(mistake.help("name one source or step, or a list of them"));
        }
        match (has_state, self.key(step)) {
            (false, None) => Some(DraftKind::Transform(plugin, place)),
            (false, Some(_)) => {
                let key = step.key.as_ref().map_or(place, |at| at.place.clone());
                let message = format!("`key` belongs to a plugin with state, and `{name}` has none");
                self.report(Diagnostic::new("E0304", key, message).help("leave `key` out"));
                None
            }
            (true, None) => {
                let mistake = Diagnostic::new(
                    "E0302",
                    place,
                    format!("the plugin `{name}` has state, so its step needs a `key`"),
                );
                self.report(mistake.help("add `key: FIELD` or `key: [FIELD, FIELD]`"));
                None
            }
            (true, Some((key, key_places))) => {
                let ports = self.ports(&plugin, &place, into)?;
                let transform = KeyedTransform { key, plugin, ports, input_schemas: Vec::new() };
                Some(DraftKind::KeyedTransform(KeyedDraft { transform, key_places, place }))
            }
        }
    }

    /// For each of `from` the number of the plugin's input; none at all where it has but one.
    fn ports(&self, plugin: &Plugin, place: &Range<usize>, into: &Names<'a>) -> Option<Vec<usize>> {
        let inputs: Vec<&str> = plugin.interface.inputs.iter().map(|input| input.name.as_str()).collect();
        let name = &plugin.interface.name;
        if into.is_empty() && inputs.len() > 1 {
            let message = format!(
                "the plugin `{name}` has the inputs {}, and `from` does not say which is which",
                inputs.join(", ")
            );
            let example: Vec<String> = inputs.iter().map(|input| format!("{input}: STEP")).collect();
            let mistake = Diagnostic::new("E0507", place.clone(), message);
            self.report(mistake.help(format!("write `from: {{ {} }}`", example.join(", "))));
            return None;
        }
        let mut ports = Vec::new();
        for (input, place) in into {
            match inputs.iter().position(|known| known == input) {
                Some(port) => ports.push(port),
                None => {
                    let message = format!("the plugin `{name}` has no input `{input}`");
                    self.report(
                        Diagnostic::new("E0507", place.clone(), message).suggest(input, inputs.iter().copied()),
                    );
                    return None;
                }
            }
        }
        if let Some(missing) = (0..inputs.len()).find(|port| !into.is_empty() && !ports.contains(port)) {
            let message = format!("nothing goes to the input `{}` of the plugin `{name}`", inputs[missing]);
            self.report(Diagnostic::new("E0507", place.clone(), message).help("name it in `from`"));
            return None;
        }
        Some(ports)
    }

    /// The fields of the key and their places; none where there is no `key`.
    fn key(&self, step: &'a raw::Step) -> Option<(Vec<String>, Vec<Range<usize>>)> {
        let (keys, place) = self.given(&step.key)?;
        if keys.0.is_empty() {
            self.report(Diagnostic::new("E0104", place, "`key` names no field"));
        }
        Some(keys.0.iter().filter_map(|key| Some((key.value.clone()?, key.place.clone()))).unzip())
    }

    fn only_with_aggregate(&self, step: &raw::Step, may_have_key: bool) {
        let keys = [
            ("key", step.key.as_ref().filter(|_| !may_have_key).map(|at| &at.place)),
            ("window", step.window.as_ref().map(|at| &at.place)),
            ("late", step.late.as_ref().map(|at| &at.place)),
        ];
        for (name, place) in keys {
            if let Some(place) = place {
                let mistake =
                    Diagnostic::new("E0304", place.clone(), format!("`{name}` belongs to a step with `aggregate`"));
                self.report(mistake.help("make two steps of it"));
            }
        }
    }

    fn select(&self, select: &'a raw::Select) -> Option<DraftKind<'a>> {
        let columns = match select {
            raw::Select::Named(columns) => columns
                .0
                .iter()
                .map(|(name, sql)| {
                    Some((name.value.clone()?, Sql { text: sql.value.clone()?, place: sql.place.clone() }))
                })
                .collect::<Option<Vec<_>>>()?,
            raw::Select::List(fields) => {
                let mut columns: Vec<(String, Sql)> = Vec::new();
                for field in fields {
                    let text = field.value.clone()?;
                    if columns.iter().any(|(name, _)| *name == text) {
                        self.report(Diagnostic::new("E0205", field.place.clone(), format!("`{text}` is named twice")));
                    }
                    let quoted: Vec<String> =
                        text.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
                    columns.push((text, Sql { text: quoted.join("."), place: field.place.clone() }));
                }
                columns
            }
        };
        Some(DraftKind::Select(columns))
    }

    fn plugin(&self, text: &str, place: Range<usize>, beside: Beside<'a>, worlds: &[World]) -> Option<Plugin> {
        let path = self.component(text, place.clone())?;
        let bounds = beside.limits.as_ref().map_or_else(Bounds::default, |limits| self.limits(limits));
        let interface = match self.inspector.inspect(&path, &beside.config, &bounds) {
            Ok(interface) => interface,
            Err(why) => {
                self.report(Diagnostic::new("E0502", place, format!("the plugin `{text}` cannot be used: {why}")));
                return None;
            }
        };
        if !worlds.contains(&interface.world) {
            let name = |world: World| {
                serde_json::to_value(world).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
            };
            let message = format!(
                "the plugin `{text}` is of the world `{}`, this step needs `{}`",
                name(interface.world),
                worlds.iter().map(|world| name(*world)).collect::<Vec<_>>().join("`, `")
            );
            let help = match interface.world {
                World::Transformer => "use it under `transform:`",
                World::StatefulTransformer | World::KeyedTransformer => "use it under `transform:`, with `key:`",
                World::Aggregator => "use it under `aggregate:`, with `key:` and `window:`",
                World::Enricher => "use it under `transform:`, with `connectors:` in the job",
            };
            self.report(Diagnostic::new("E0505", place, message).help(help));
            return None;
        }
        if interface.world == World::Enricher {
            self.connects(&interface, &place);
        }
        if interface.outputs.is_empty() {
            self.report(Diagnostic::new("E0502", place, format!("the plugin `{text}` has no output")));
            return None;
        }
        let allow = self.allowed((text, &place), &beside, &interface);
        let Beside { config, on_error, .. } = beside;
        Some(Plugin { path, config, on_error, order: Order::default(), bounds, allow, interface })
    }

    fn window(&self, step: &'a raw::Step, owner: &Range<usize>) -> Option<DraftKind<'a>> {
        let aggregate_place = step.aggregate.as_ref().map_or(owner.clone(), |at| at.place.clone());
        if step.window.is_none() {
            let mistake = Diagnostic::new("E0303", owner.clone(), "`aggregate` needs a `window`: a stream has no end");
            self.report(mistake.help("add `window: { tumbling: 1m }`"));
        }
        if step.key.is_none() {
            let mistake =
                Diagnostic::new("E0302", owner.clone(), "`aggregate` needs a `key`: the fields that make a group");
            self.report(mistake.help("add `key: FIELD` or `key: [FIELD, FIELD]`"));
        }
        let (aggregate, aggregate_places, complete) =
            self.aggregate(self.given(&step.aggregate)?.0, &aggregate_place)?;
        let late = self.given(&step.late).map_or("late", |(late, _)| late.as_str()).to_owned();
        if let Some((late, place)) = self.given(&step.late) {
            self.name(late, &place);
        }
        let (window, window_place) = self.given(&step.window)?;
        let allowed_lateness = self.quantity(&window.allowed_lateness, "E0101", Duration::ZERO, duration);
        self.needed(&window.tumbling, "tumbling", &window_place)?;
        let tumbling = self.quantity(&window.tumbling, "E0101", Duration::ZERO, |text| match duration(text)? {
            Duration::ZERO => Err("a window must be longer than nothing".to_owned()),
            length if length.subsec_micros() % 1000 != 0 => Err(format!("`{text}` has parts of a millisecond")),
            length => Ok(length),
        });
        let (key, key_places) = self.key(step)?;
        let window = Window { key, tumbling, allowed_lateness, aggregate };
        Some(DraftKind::Window(WindowDraft { window, key_places, aggregate_places, late, complete }))
    }

    fn aggregate(
        &self,
        aggregate: &'a raw::Aggregate,
        owner: &Range<usize>,
    ) -> Option<(Aggregate, Vec<Range<usize>>, bool)> {
        let entries = &aggregate.0.0;
        let find =
            |key: &str| entries.iter().find(|(name, _)| name.value.as_deref() == Some(key)).map(|(_, value)| value);
        let Some(named) = find("plugin") else { return self.built_in(entries, owner) };
        for (name, _) in entries {
            let Some(text) = name.value.as_deref() else { continue };
            if !plugins::KEYS.contains(&text) {
                let mistake =
                    Diagnostic::new("E0003", name.place.clone(), format!("there is no key `{text}` beside `plugin`"));
                self.report(mistake.label("unknown key").suggest(text, plugins::KEYS));
            }
        }
        let Some(Json::String(path)) = &named.value else {
            self.report(Diagnostic::new("E0004", named.place.clone(), "expected the path of a plugin"));
            return None;
        };
        let on_error = match find("on_error") {
            None => OnError::default(),
            Some(at) => match at.value.as_ref().and_then(|value| serde_json::from_value(value.clone()).ok()) {
                Some(policy) => policy,
                None => {
                    let mistake = Diagnostic::new("E0006", at.place.clone(), "this is no policy");
                    self.report(mistake.help("there is: dead_letter, stop, drop"));
                    OnError::default()
                }
            },
        };
        let config = find("config").and_then(|at| at.value.clone()).unwrap_or(Json::Object(Default::default()));
        let setting = |key| find(key).and_then(|at| Some((at.value.as_ref()?, at.place.clone())));
        let (digest, allow, limits) = (setting("digest"), setting("allow"), setting("limits"));
        let beside = Beside { config, on_error, digest, allow, limits };
        let place = named.place.clone();
        let plugin = self.plugin(path, place.clone(), beside, &[World::Aggregator])?;
        Some((Aggregate::Plugin(plugin), vec![place], true))
    }

    fn built_in(
        &self,
        entries: &'a [(At<String>, At<Json>)],
        owner: &Range<usize>,
    ) -> Option<(Aggregate, Vec<Range<usize>>, bool)> {
        if entries.is_empty() {
            let mistake = Diagnostic::new("E0305", owner.clone(), "`aggregate` computes nothing");
            self.report(mistake.help("name a plugin, or write `total: sum(FIELD)`"));
            return None;
        }
        let read = entries.iter().filter_map(|(name, call)| Some((self.column(name, call)?, call.place.clone())));
        let (columns, places): (Vec<Column>, Vec<Range<usize>>) = read.unzip();
        let complete = columns.len() == entries.len();
        Some((Aggregate::BuiltIn(columns), places, complete))
    }

    fn column(&self, name: &'a At<String>, call: &'a At<Json>) -> Option<Column> {
        let wrong = |message: String| Diagnostic::new("E0305", call.place.clone(), message);
        let form = "write `count`, or sum, avg, min, max with a field: `sum(amount)`";
        let Json::String(text) = call.value.as_ref()? else {
            self.report(wrong("expected a function".into()).help(form));
            return None;
        };
        let text = text.trim();
        let (function, field) = match text.strip_suffix(')').and_then(|call| call.split_once('(')) {
            Some((function, field)) => {
                (function.trim(), Some(field.trim()).filter(|field| !field.is_empty() && *field != "*"))
            }
            None => (text, None),
        };
        let Some((_, known)) = FUNCTIONS.iter().find(|(name, _)| *name == function) else {
            let mistake = wrong(format!("there is no aggregate function `{function}`"));
            self.report(mistake.suggest(function, FUNCTIONS.iter().map(|(name, _)| *name)));
            return None;
        };
        if *known != Function::Count && field.is_none() {
            self.report(wrong(format!("`{function}` needs a field")).help(form));
            return None;
        }
        let name = name.value.clone()?;
        Some(Column { name, function: *known, field: field.map(str::to_owned) })
    }
}
