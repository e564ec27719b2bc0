//! Random requests from a seed: small domains of names and values, so that conditions hold about as often as not.

use serde_json::{Map, Value, json};

/// Tables: hash key k, range key r; `third` has the index `gsi` on o and k.
const TABLES: [(&str, &str, Option<&str>); 4] =
    [("first", "S", None), ("second", "N", None), ("third", "S", Some("N")), ("fourth", "S", Some("S"))];
const INDEXED: &str = "third";
const NAMES: [&str; 9] = ["a", "b", "c", "d", "m", "l", "s", "o", "k"];
const NUMBERS: [&str; 12] =
    ["0", "1", "1.0", "2", "10", "1E1", "-3", "0.5", "5E-1", "99999999999999999999999999999999999999", "1E100", "3"];
const TEXTS: [&str; 6] = ["", "a", "ab", "abc", "b", "é"];
const BYTES: [&str; 4] = ["", "YQ==", "YWI=", "/w=="];

pub fn tables() -> Vec<Value> {
    let table = |(name, hash, range): (&str, &str, Option<&str>)| {
        let mut attributes = vec![json!({ "AttributeName": "k", "AttributeType": hash })];
        let mut schema = vec![json!({ "AttributeName": "k", "KeyType": "HASH" })];
        if let Some(range) = range {
            attributes.push(json!({ "AttributeName": "r", "AttributeType": range }));
            schema.push(json!({ "AttributeName": "r", "KeyType": "RANGE" }));
        }
        let mut out = json!({ "TableName": name, "KeySchema": schema, "BillingMode": "PAY_PER_REQUEST" });
        if name == INDEXED {
            attributes.push(json!({ "AttributeName": "o", "AttributeType": "S" }));
            out["GlobalSecondaryIndexes"] = json!([{
                "IndexName": "gsi",
                "KeySchema": [{ "AttributeName": "o", "KeyType": "HASH" }, { "AttributeName": "k", "KeyType": "RANGE" }],
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            }]);
        }
        out["AttributeDefinitions"] = json!(attributes);
        out
    };
    TABLES.into_iter().map(table).collect()
}

/// The key that a writing request is about.
pub fn key_of(operation: &str, request: &Value) -> Option<Value> {
    let of = match operation {
        "PutItem" => request.get("Item")?,
        "UpdateItem" | "DeleteItem" => request.get("Key")?,
        _ => return None,
    };
    let parts = of.as_object()?.iter().filter(|(name, _)| ["k", "r"].contains(&name.as_str()));
    Some(Value::Object(parts.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// The same request with a condition that holds.
pub fn unconditional(request: &Value) -> Value {
    let mut out = request.clone();
    if let Some(condition) = request.get("ConditionExpression").and_then(Value::as_str) {
        out["ConditionExpression"] = format!("({condition}) OR attribute_not_exists(nowhere)").into();
    }
    if let Some(fields) = out.as_object_mut() {
        fields.retain(|name, _| name != "Expected" && name != "ConditionalOperator");
    }
    out
}

pub struct Random {
    state: u64,
    values: Map<String, Value>,
    names: Map<String, Value>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, values: Map::new(), names: Map::new() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn request(&mut self) -> (&'static str, Value) {
        self.values.clear();
        self.names.clear();
        let (name, hash, range) = self.one(&TABLES);
        let mut body = json!({ "TableName": name });
        let operation = self.one(&[
            "PutItem",
            "PutItem",
            "UpdateItem",
            "UpdateItem",
            "UpdateItem",
            "DeleteItem",
            "GetItem",
            "Query",
            "Scan",
        ]);
        match operation {
            "PutItem" => {
                let mut item = self.key(hash, range);
                for name in NAMES.iter().filter(|n| **n != "k") {
                    if self.chance(60) {
                        item[*name] = if *name == "o" { self.owner() } else { self.shaped(name) };
                    }
                }
                body["Item"] = item;
                self.conditional(&mut body, false);
            }
            "UpdateItem" => {
                body["Key"] = self.key(hash, range);
                self.conditional(&mut body, true);
            }
            "DeleteItem" => {
                body["Key"] = self.key(hash, range);
                self.conditional(&mut body, false);
            }
            "GetItem" => {
                body["Key"] = self.key(hash, range);
                if self.chance(50) {
                    body["ProjectionExpression"] = self.projection().into();
                }
            }
            _ => self.reading(&mut body, operation == "Query", hash, range),
        }
        self.placeholders(&mut body);
        (operation, body)
    }

    fn placeholders(&mut self, body: &mut Value) {
        if self.chance(2) {
            self.values.insert(":unused".into(), json!({ "N": "1" }));
        }
        if !self.values.is_empty() {
            body["ExpressionAttributeValues"] = Value::Object(std::mem::take(&mut self.values));
        }
        if !self.names.is_empty() {
            body["ExpressionAttributeNames"] = Value::Object(std::mem::take(&mut self.names));
        }
    }

    fn key(&mut self, hash: &str, range: Option<&str>) -> Value {
        let mut key = json!({ "k": self.key_part(hash) });
        if let Some(range) = range
            && !self.chance(2)
        {
            key["r"] = self.key_part(range);
        }
        key
    }

    fn key_part(&mut self, kind: &str) -> Value {
        match kind {
            _ if self.chance(1) => json!({ "BOOL": true }),
            "N" => json!({ "N": self.one(&["1", "2", "3", "-3.0"]) }),
            _ if self.chance(2) => json!({ "S": "" }),
            _ => json!({ "S": self.one(&["x", "y", "xy"]) }),
        }
    }

    /// What fits the index key.
    fn owner(&mut self) -> Value {
        json!({ "S": self.one(&["w1", "w2"]) })
    }

    /// What an attribute mostly is, by its name.
    fn shaped(&mut self, name: &str) -> Value {
        match name {
            _ if self.chance(15) => self.value(2),
            "a" | "b" => json!({ "N": self.one(&NUMBERS) }),
            "c" => json!({ "S": self.one(&TEXTS) }),
            "m" => json!({ "M": { "x": self.value(1), "y": { "M": { "z": { "N": self.one(&NUMBERS) } } } } }),
            "l" => json!({ "L": [self.value(1), self.value(0), { "S": "a" }] }),
            "s" => json!({ "SS": self.one(&[&["a"] as &[&str], &["a", "b"], &["b", "abc"]]) }),
            _ => self.value(1),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 11 }) {
            0 | 1 => json!({ "N": self.one(&NUMBERS) }),
            2 => json!({ "S": self.one(&TEXTS) }),
            3 => json!({ "B": self.one(&BYTES) }),
            4 if self.chance(50) => json!({ "NULL": true }),
            4 => json!({ "BOOL": true }),
            5 => json!({ "SS": self.one(&[&["a"] as &[&str], &["a", "b"], &["", "abc"], &["a", "a"]]) }),
            6 => json!({ "NS": self.one(&[&["1"] as &[&str], &["1.0", "2"], &["3", "0.5"], &[]]) }),
            7 => json!({ "BS": ["YQ==", "YWI="] }),
            8 => json!({ "L": [self.value(depth - 1), self.value(depth - 1)] }),
            9 => json!({ "M": { "x": self.value(depth - 1) } }),
            _ => json!({ "L": [] }),
        }
    }

    fn literal(&mut self) -> String {
        let value = self.value(1);
        self.literal_of(value)
    }

    fn literal_of(&mut self, value: Value) -> String {
        let name = format!(":v{}", self.values.len());
        if !self.chance(1) {
            self.values.insert(name.clone(), value);
        }
        name
    }

    fn name(&mut self) -> String {
        let name = self.one(&NAMES);
        if !self.chance(25) {
            return name.to_owned();
        }
        self.names.insert(format!("#{name}"), name.into());
        format!("#{name}")
    }

    fn path(&mut self) -> String {
        match self.below(10) {
            0 => "m.x".into(),
            1 => "m.y.z".into(),
            2 => format!("l[{}]", self.below(5)),
            3 => self.one(&["l[0].x", "m.q.z", "m.y", "l[1]", "a.x", "name"]).into(),
            _ => self.name(),
        }
    }

    fn operand(&mut self) -> String {
        match self.below(10) {
            0 => format!("size({})", self.path()),
            1..=5 => self.path(),
            _ => self.literal(),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth > 0 && self.chance(35) {
            let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
            return match self.below(4) {
                0 => format!("{a} AND {b}"),
                1 => format!("({a}) or ({b})"),
                2 => format!("NOT ({a} OR {b})"),
                _ => format!("NOT {a} and {b}"),
            };
        }
        match self.below(12) {
            0 => format!("attribute_exists({})", self.path()),
            1 => format!("attribute_not_exists({})", self.path()),
            2 => {
                let kind = json!({ "S": self.one(&["S", "N", "SS", "M", "L", "BOOL", "X"]) });
                format!("attribute_type({}, {})", self.path(), self.literal_of(kind))
            }
            3 => {
                let start = if self.chance(80) { json!({ "S": self.one(&TEXTS) }) } else { self.value(1) };
                format!("begins_with({}, {})", self.path(), self.literal_of(start))
            }
            4 => format!("contains({}, {})", self.path(), self.operand()),
            5 => {
                let (low, high) = (json!({ "N": self.one(&NUMBERS) }), json!({ "N": self.one(&NUMBERS) }));
                format!("{} BETWEEN {} AND {}", self.operand(), self.literal_of(low), self.literal_of(high))
            }
            6 => format!("{} IN ({}, {})", self.operand(), self.literal(), self.operand()),
            _ => {
                let sign = if self.chance(1) { "==" } else { self.one(&["=", "=", "<>", "<", "<=", ">", ">="]) };
                format!("{} {sign} {}", self.operand(), self.operand())
            }
        }
    }

    fn projection(&mut self) -> String {
        let count = 1 + self.below(2);
        (0..count).map(|_| self.path()).collect::<Vec<_>>().join(", ")
    }

    fn conditional(&mut self, body: &mut Value, update: bool) {
        let older = self.chance(40);
        if self.chance(60) {
            if older {
                self.expected(body, "Expected");
            } else {
                body["ConditionExpression"] = self.condition(2).into();
            }
        }
        let mixed = self.chance(1);
        let mut nested = false;
        if update && self.chance(95) {
            if older != mixed {
                body["AttributeUpdates"] = self.attribute_updates();
            } else {
                let expression = self.update();
                nested = expression.contains(['.', '[']);
                body["UpdateExpression"] = expression.into();
            }
        }
        let returns: &[&str] = match update {
            true if nested => &["NONE", "ALL_OLD", "ALL_NEW"],
            true => &["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"],
            false => &["NONE", "ALL_OLD", "ALL_OLD", "ALL_OLD", "ALL_NEW"],
        };
        if self.chance(50) {
            body["ReturnValues"] = self.one(returns).into();
        }
        if self.chance(50) {
            body["ReturnValuesOnConditionCheckFailure"] = self.one(&["ALL_OLD", "NONE"]).into();
        }
    }

    fn expected(&mut self, body: &mut Value, parameter: &str) {
        let mut all = json!({});
        for _ in 0..1 + self.below(2) {
            let name = self.one(&NAMES);
            all[name] = if parameter == "Expected" && self.chance(30) {
                match self.below(4) {
                    0 => json!({ "Exists": false }),
                    1 => json!({ "Exists": true }),
                    _ => json!({ "Value": self.shaped(name) }),
                }
            } else {
                self.comparison(name)
            };
        }
        if all.as_object().is_some_and(|all| all.len() > 1) && self.chance(50) {
            body["ConditionalOperator"] = self.one(&["AND", "OR"]).into();
        }
        body[parameter] = all;
    }

    fn comparison(&mut self, name: &str) -> Value {
        let operator = self.one(&[
            "EQ",
            "NE",
            "LT",
            "LE",
            "GT",
            "GE",
            "NOT_NULL",
            "NULL",
            "CONTAINS",
            "NOT_CONTAINS",
            "BEGINS_WITH",
            "IN",
            "BETWEEN",
        ]);
        let count = match operator {
            "NOT_NULL" | "NULL" => 0,
            "BETWEEN" | "IN" => 2,
            _ => 1,
        };
        let list: Vec<Value> = (0..if self.chance(3) { 1 } else { count }).map(|_| self.shaped(name)).collect();
        let mut out = json!({ "ComparisonOperator": operator });
        if !list.is_empty() || self.chance(10) {
            out["AttributeValueList"] = list.into();
        }
        out
    }

    fn attribute_updates(&mut self) -> Value {
        let mut all = json!({});
        for _ in 0..1 + self.below(3) {
            // The index key keeps its type: DynamoDB Local would take another one.
            let known = if self.chance(3) { NAMES.len() } else { 7 };
            let name = self.one(&NAMES[..known]);
            if name == "o" {
                continue;
            }
            let action = self.one(&["PUT", "PUT", "ADD", "ADD", "DELETE", "DELETE"]);
            let value = match (action, self.below(3)) {
                ("DELETE", 0 | 1) => None,
                _ => Some(self.shaped(name)),
            };
            all[name] = match value {
                Some(value) => json!({ "Action": action, "Value": value }),
                None => json!({ "Action": action }),
            };
        }
        all
    }

    fn target(&mut self) -> String {
        loop {
            let path = self.path();
            // The index key keeps its type: DynamoDB Local would take another one.
            if !path.ends_with('o') {
                return path;
            }
            self.names.remove("#o");
        }
    }

    fn update(&mut self) -> String {
        let mut sections = Vec::new();
        if self.chance(70) {
            let count = 1 + self.below(3);
            let list: Vec<String> = (0..count).map(|_| format!("{} = {}", self.target(), self.sum())).collect();
            sections.push(format!("SET {}", list.join(", ")));
        }
        if self.chance(30) {
            sections.push(format!("REMOVE {}", self.target()));
        }
        if self.chance(30) {
            let value = match self.below(5) {
                0 => json!({ "S": "a" }),
                1 | 2 => json!({ "N": "2" }),
                _ => json!({ "SS": ["a", "q"] }),
            };
            sections.push(format!("ADD {} {}", self.target(), self.literal_of(value)));
        }
        if self.chance(20) {
            let value = if self.chance(80) { json!({ "SS": ["a"] }) } else { self.value(1) };
            sections.push(format!("DELETE {} {}", self.target(), self.literal_of(value)));
        }
        sections.join(" ")
    }

    fn sum(&mut self) -> String {
        match self.below(8) {
            0 => format!("{} + {}", self.path(), self.number()),
            1 => format!("{} - {}", self.path(), self.path()),
            2 => format!("if_not_exists({}, {}) + {}", self.path(), self.number(), self.number()),
            3 => {
                let list = json!({ "L": [self.value(0)] });
                let (path, more) = (self.path(), self.literal_of(list));
                format!("list_append(if_not_exists({path}, {more}), {more})")
            }
            4 => format!("if_not_exists({}, {})", self.path(), self.operand()),
            5 => self.path(),
            _ => self.literal(),
        }
    }

    fn number(&mut self) -> String {
        let value = json!({ "N": self.one(&NUMBERS) });
        self.literal_of(value)
    }

    fn reading(&mut self, body: &mut Value, query: bool, hash: &str, range: Option<&str>) {
        let index = body["TableName"] == INDEXED && self.chance(40);
        let older = self.chance(40);
        if index {
            body["IndexName"] = "gsi".into();
        }
        if query {
            let (hash, range) =
                if index { (("o", "S"), Some(("k", "S"))) } else { (("k", hash), range.map(|kind| ("r", kind))) };
            self.keys(body, older, hash, range);
        }
        if self.chance(40) && !index {
            if older {
                self.expected(body, if query { "QueryFilter" } else { "ScanFilter" });
            } else {
                body["FilterExpression"] = self.condition(1).into();
            }
        }
        if self.chance(30) {
            body["Limit"] = self.one(&[1, 2, 3, 100, 0]).into();
        }
        if query && self.chance(30) {
            body["ScanIndexForward"] = false.into();
        }
        if self.chance(20) {
            body["Select"] =
                self.one(&["COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES"]).into();
        } else if !older && !index && self.chance(20) {
            body["ProjectionExpression"] = self.projection().into();
        }
    }

    fn keys(&mut self, body: &mut Value, older: bool, hash: (&str, &str), range: Option<(&str, &str)>) {
        let equal = if hash.0 == "o" { self.owner() } else { self.key_part(hash.1) };
        let part = range.filter(|_| self.chance(60));
        let (low, high) = match part {
            Some((_, kind)) => (self.key_part(kind), self.key_part(kind)),
            None => (Value::Null, Value::Null),
        };
        if older {
            let mut all = json!({ hash.0: { "ComparisonOperator": "EQ", "AttributeValueList": [equal] } });
            if let Some((name, _)) = part {
                let operator = self.one(&["EQ", "LT", "LE", "GT", "GE", "BEGINS_WITH", "BETWEEN", "IN"]);
                let list = if operator == "BETWEEN" { json!([low, high]) } else { json!([low]) };
                all[name] = json!({ "ComparisonOperator": operator, "AttributeValueList": list });
            }
            body["KeyConditions"] = all;
            return;
        }
        let mut text = format!("{} = {}", hash.0, self.literal_of(equal));
        if let Some((name, _)) = part {
            let low = self.literal_of(low);
            let more = match self.below(8) {
                0 => format!("begins_with({name}, {low})"),
                1 => format!("{name} BETWEEN {low} AND {}", self.literal_of(high)),
                2 => format!("{low} > {name}"),
                sign => format!("{name} {} {low}", ["=", "<", "<=", ">", ">="][sign - 3]),
            };
            text = format!("{text} AND {more}");
        }
        body["KeyConditionExpression"] = text.into();
    }
}
