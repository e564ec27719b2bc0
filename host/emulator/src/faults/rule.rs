//! One rule: whose calls, what happens, how often. As JSON, and as text for a flag.
//!
//! The text: `OPERATION[@STREAM[/SHARD]]:FAULT[=ARGUMENT][:PROBABILITY|:next=N][:seed=N]`, as in `SubscribeToShard:reset:0.1` or
//! `PutRecords@clicks:delay=200:next=3`. What can never fire is refused with words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Call, Service, Stage, operations};

const LONGEST_DELAY: Duration = Duration::from_secs(600);
const KNOWN: &str = "throttle, fail, access-denied, expired-credentials, partial, reset, delay=MS, apply-then-fail, \
                     lost-condition, expire-iterator, trimmed=not-found|invalid|silent, duplicate-event, reset-event, stall; of a \
                     registry also not-found, html, half, wrong-schema, redirect; of Glue also pending";

/// What the service says about a position that is past its retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    NotFound,
    Invalid,
    /// Nothing: it goes on with what is left, which is what comes from now on.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too many calls, in the words of the operation.
    Throttle,
    /// The service's own failure.
    Fail,
    AccessDenied,
    ExpiredCredentials,
    /// Some entries of a batch fail, at least one.
    Partial,
    /// The connection drops before the call is done.
    Reset,
    Delay(Duration),
    /// The call is done, then the connection drops.
    ApplyThenFail,
    /// The same for a conditional write that succeeded: its repetition will be refused.
    LostCondition,
    ExpireIterator,
    /// The position that a reader names is past the retention.
    Trimmed(Trimmed),
    /// An event of a subscription comes twice.
    DuplicateEvent,
    /// The connection drops between two events.
    ResetEvent,
    /// The subscription says nothing more, and does not end.
    Stall,
    /// A registry has not what is asked for.
    NotFound,
    /// A page for people comes instead of an answer.
    Html,
    /// The connection drops in the middle of the answer.
    Half,
    /// Another schema than the one that was asked for.
    WrongSchema,
    /// To the same address.
    Redirect,
    /// Glue has not compared the version yet, so the answer says.
    Pending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Always,
    /// From 0 to 1.
    Probability(f64),
    Next(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `*`, a name, or `SERVICE.NAME`.
    pub operation: String,
    pub stream: Option<String>,
    pub shard: Option<String>,
    pub fault: Fault,
    pub when: When,
    pub seed: u64,
}

/// Why something is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRule(pub String);

fn bad<T>(words: impl Into<String>) -> Result<T, BadRule> {
    Err(BadRule(words.into()))
}

impl Fault {
    pub fn stage(self) -> Stage {
        match self {
            Self::DuplicateEvent | Self::ResetEvent | Self::Stall => Stage::Event,
            Self::LostCondition => Stage::Done,
            _ => Stage::Call,
        }
    }

    /// The operations that it can happen to; None is all.
    fn happens_to(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Partial => Some(&["PutRecords", "PutRecordBatch"]),
            Self::LostCondition => Some(&["PutItem", "UpdateItem", "DeleteItem"]),
            Self::ExpireIterator => Some(&["GetRecords"]),
            Self::Trimmed(_) => Some(&["GetShardIterator", "SubscribeToShard"]),
            Self::DuplicateEvent | Self::ResetEvent | Self::Stall => Some(&["SubscribeToShard"]),
            Self::WrongSchema => Some(&["GetSchema", "GetVersion", "LookUpSchema"]),
            Self::NotFound | Self::Html | Self::Half | Self::Redirect => Some(operations::REGISTRY),
            Self::Pending => Some(&["RegisterSchemaVersion", "GetSchemaVersion", "GetSchemaByDefinition"]),
            _ => None,
        }
    }

    /// The one service that it happens at; None is all that have the operation.
    fn happens_at(self) -> Option<Service> {
        match self {
            Self::NotFound | Self::Html | Self::Half | Self::WrongSchema | Self::Redirect => Some(Service::Registry),
            Self::Pending => Some(Service::Glue),
            _ => None,
        }
    }

    fn parse(text: &str) -> Result<Self, BadRule> {
        let (name, argument) = match text.split_once(['=', ':', ' ']) {
            Some((name, argument)) => (name, Some(argument.trim())),
            None => (text, None),
        };
        let fault = match (name, argument) {
            ("delay", Some(millis)) => {
                let Ok(millis) = millis.parse() else {
                    return bad(format!("'{millis}' is no number of milliseconds: write delay=200"));
                };
                let delay = Duration::from_millis(millis);
                if delay > LONGEST_DELAY {
                    return bad(format!("a delay of {millis} ms is too long: at most {}", LONGEST_DELAY.as_millis()));
                }
                return Ok(Self::Delay(delay));
            }
            ("delay", None) => return bad("a delay needs milliseconds: write delay=200"),
            ("trimmed", Some("not-found")) => return Ok(Self::Trimmed(Trimmed::NotFound)),
            ("trimmed", Some("invalid")) => return Ok(Self::Trimmed(Trimmed::Invalid)),
            ("trimmed", Some("silent")) => return Ok(Self::Trimmed(Trimmed::Silent)),
            ("trimmed", _) => {
                return bad("trimmed needs what the service says: trimmed=not-found, =invalid or =silent");
            }
            ("throttle", _) => Self::Throttle,
            ("fail", _) => Self::Fail,
            ("access-denied", _) => Self::AccessDenied,
            ("expired-credentials", _) => Self::ExpiredCredentials,
            ("partial", _) => Self::Partial,
            ("reset", _) => Self::Reset,
            ("apply-then-fail", _) => Self::ApplyThenFail,
            ("lost-condition", _) => Self::LostCondition,
            ("expire-iterator", _) => Self::ExpireIterator,
            ("duplicate-event", _) => Self::DuplicateEvent,
            ("reset-event", _) => Self::ResetEvent,
            ("stall", _) => Self::Stall,
            ("not-found", _) => Self::NotFound,
            ("html", _) => Self::Html,
            ("half", _) => Self::Half,
            ("wrong-schema", _) => Self::WrongSchema,
            ("redirect", _) => Self::Redirect,
            ("pending", _) => Self::Pending,
            _ => return bad(format!("'{name}' is no fault: there are {KNOWN}")),
        };
        match argument {
            Some(argument) => bad(format!("the fault {name} takes no argument, not '{argument}'")),
            None => Ok(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delay(delay) => return write!(f, "delay={}", delay.as_millis()),
            Self::Throttle => "throttle",
            Self::Fail => "fail",
            Self::AccessDenied => "access-denied",
            Self::ExpiredCredentials => "expired-credentials",
            Self::Partial => "partial",
            Self::Reset => "reset",
            Self::ApplyThenFail => "apply-then-fail",
            Self::LostCondition => "lost-condition",
            Self::ExpireIterator => "expire-iterator",
            Self::Trimmed(Trimmed::NotFound) => "trimmed=not-found",
            Self::Trimmed(Trimmed::Invalid) => "trimmed=invalid",
            Self::Trimmed(Trimmed::Silent) => "trimmed=silent",
            Self::DuplicateEvent => "duplicate-event",
            Self::ResetEvent => "reset-event",
            Self::Stall => "stall",
            Self::NotFound => "not-found",
            Self::Html => "html",
            Self::Half => "half",
            Self::WrongSchema => "wrong-schema",
            Self::Redirect => "redirect",
            Self::Pending => "pending",
        })
    }
}

impl Rule {
    fn checked(self) -> Result<Self, BadRule> {
        if !operations::is_known(&self.operation) {
            return bad(format!(
                "'{}' is no operation: write * or a name such as PutRecords, or with its service, DynamoDB.UpdateItem",
                self.operation
            ));
        }
        let name = self.operation.rsplit('.').next().unwrap_or_default();
        if let Some(list) = self.fault.happens_to().filter(|list| name != "*" && !list.contains(&name)) {
            return bad(format!("the fault {} happens to {} only, not to {name}", self.fault, list.join(", ")));
        }
        let at = self.operation.split_once('.').map(|(service, _)| service);
        if let Some(service) = self.fault.happens_at().filter(|service| at.is_some_and(|at| at != service.name())) {
            return bad(format!("the fault {} happens at {} only", self.fault, service.name()));
        }
        if let When::Probability(share) = self.when
            && !(0.0..=1.0).contains(&share)
        {
            return bad(format!("{share} is no probability: give 0 to 1"));
        }
        Ok(self)
    }

    pub fn names(&self, call: &Call<'_>) -> bool {
        let needed = match self.fault {
            Fault::Trimmed(_) => call.at_sequence,
            Fault::LostCondition => call.conditional,
            _ => true,
        };
        needed
            && self.fault.happens_at().is_none_or(|service| service == call.service)
            && operations::matches(&self.operation, call.service, call.operation)
            && self.fault.happens_to().is_none_or(|list| list.contains(&call.operation))
            && self.stream.as_deref().is_none_or(|stream| call.stream == Some(stream))
            && self.shard.as_deref().is_none_or(|shard| call.shard == Some(shard))
    }

    pub fn from_json(json: &Value) -> Result<Self, BadRule> {
        let Some(fields) = json.as_object() else {
            return bad("a rule is an object with operation and fault");
        };
        let known = ["operation", "stream", "shard", "fault", "probability", "next", "seed", "seen", "fired"];
        if let Some(other) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return bad(format!("'{other}' is no field of a rule: there are {}", known[..7].join(", ")));
        }
        let text = |name: &str| match json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => bad(format!("{name} is a text, not {other}")),
        };
        let number = |name: &str| match json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => bad(format!("{name} is a whole number, not {value}")),
            },
        };
        let when = match (json.get("probability").filter(|p| !p.is_null()), number("next")?) {
            (Some(_), Some(_)) => return bad("give probability or next, not both"),
            (Some(share), None) => match share.as_f64() {
                Some(share) => When::Probability(share),
                None => return bad(format!("probability is a number from 0 to 1, not {share}")),
            },
            (None, Some(count)) => When::Next(count),
            (None, None) => When::Always,
        };
        let Some(fault) = text("fault")? else {
            return bad(format!("a rule needs a fault: {KNOWN}"));
        };
        let rule = Self {
            operation: text("operation")?.unwrap_or_else(|| "*".to_owned()),
            stream: text("stream")?,
            shard: text("shard")?,
            fault: Fault::parse(&fault)?,
            when,
            seed: number("seed")?.unwrap_or(0),
        };
        rule.checked()
    }

    pub fn to_json(&self) -> Value {
        let mut out = json!({ "operation": self.operation, "fault": self.fault.to_string(), "seed": self.seed });
        for (name, value) in [("stream", &self.stream), ("shard", &self.shard)] {
            if let Some(value) = value {
                out[name] = value.as_str().into();
            }
        }
        match self.when {
            When::Always => {}
            When::Probability(share) => out["probability"] = share.into(),
            When::Next(count) => out["next"] = count.into(),
        }
        out
    }
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let mut parts = text.split(':');
        let place = parts.next().unwrap_or_default();
        let Some(fault) = parts.next() else {
            return bad(format!("'{text}' is no rule: write OPERATION:FAULT, as in SubscribeToShard:reset:0.1"));
        };
        let (operation, place) = place.split_once('@').map_or((place, None), |(o, p)| (o, Some(p)));
        let (stream, shard) = match place.map(|p| p.split_once('/').map_or((p, None), |(s, h)| (s, Some(h)))) {
            Some((stream, shard)) => (Some(stream.to_owned()), shard.map(str::to_owned)),
            None => (None, None),
        };
        let (mut when, mut seed) = (When::Always, 0);
        for part in parts {
            let wrong = || BadRule(format!("'{part}' is neither a probability, nor next=N, nor seed=N"));
            match part.split_once('=') {
                Some(("next", count)) => when = When::Next(count.parse().map_err(|_| wrong())?),
                Some(("seed", number)) => seed = number.parse().map_err(|_| wrong())?,
                Some(_) => return Err(wrong()),
                None => when = When::Probability(part.parse().map_err(|_| wrong())?),
            }
        }
        Self { operation: operation.to_owned(), stream, shard, fault: Fault::parse(fault)?, when, seed }.checked()
    }
}
