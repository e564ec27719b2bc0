//! The rounds of an enricher: who asks, who waits, who is complete.
//!
//! The rule: a part of a batch is done when its last record is: nothing waits from call to call, so an epoch that ends has an answer to
//! everything that it asked, and what a crash takes is asked again. `ordered`: rows leave in the order of their records, and a round is one
//! call. `unordered`: a record is completed when its own answers are there, and asks again while others wait. Either way the rows of one
//! record leave in the order of its rounds, so ids are the same.
//! Left to others: what a request may be (`enricher`), how it is made (`Connect`).

use std::{collections::VecDeque, ops::Range, time::Duration};

use arrow::{array::UInt32Array, compute::take_record_batch};
use futures::{
    FutureExt,
    stream::{FuturesUnordered, StreamExt},
};

use super::enricher::{EnricherInstance, Order, Outcome, Request};
use crate::plugin::{Call, Emitted, Failure, Processed, bisect};
use crate::record::{Batch, Cells};

/// A record may ask so often.
const MOST_ROUNDS: usize = 8;
/// Bytes of answers that wait; with more, the records that are complete are called with at once, and nothing more is asked meanwhile.
const MOST_HELD: usize = 16 << 20;
/// Bytes of answers of one call, if it is not for one record: a guest holds 64 MiB in all.
const MOST_GIVEN: usize = 8 << 20;

/// A request, and which it is.
struct Asked {
    /// of the part
    row: u32,
    number: usize,
    request: Request,
}

/// What a record waits for, or has.
#[derive(Default)]
struct Waiting {
    round: usize,
    unanswered: usize,
    answers: Vec<(usize, Request, Outcome)>,
}

struct Rounds {
    /// by row of the part
    waiting: Vec<Waiting>,
    /// rows that have all their answers
    ready: Vec<u32>,
    queue: VecDeque<Asked>,
    asked: usize,
    held: usize,
}

/// All rounds of some rows of a batch. Rows of the result count from the start of the range.
pub(super) async fn run(
    plugin: &mut EnricherInstance,
    call: &Call,
    (batch, range): (&Batch, Range<usize>),
    budget: Duration,
) -> Result<Processed, Failure> {
    plugin.told.clear();
    let requests = plugin.prepare(call, batch, range.clone(), budget).await?;
    let rows: Vec<u32> = (0..range.len()).map(row).collect();
    let mut rounds = Rounds::new(range.len());
    rounds.ask(&rows, requests);
    let (connect, order) = (plugin.connect.clone(), plugin.order);
    let mut flying = FuturesUnordered::new();
    let mut done = Vec::new();
    loop {
        while flying.len() < connect.capacity().max(1)
            && rounds.may_ask(flying.is_empty())
            && let Some(asked) = rounds.queue.pop_front()
        {
            let connect = &*connect;
            flying.push(async move {
                let outcome = connect.ask(&asked.request).await;
                (asked, outcome)
            });
        }
        // starts what is new, and takes what is there already
        if let Some(Some(answered)) = flying.next().now_or_never() {
            rounds.answered(answered);
            continue;
        }
        if !rounds.completes(order, flying.is_empty()) {
            if let Some(answered) = flying.next().await {
                rounds.answered(answered);
            }
            continue;
        }
        let (rows, answers) = rounds.take();
        if rows.is_empty() {
            break;
        }
        if range.len() == 1 {
            plugin.told.extend_from_slice(&answers);
        }
        let (of, within) = if rows.len() == range.len() {
            (None, range.clone())
        } else {
            let some: Vec<u32> = rows.iter().map(|row| row + range.start as u32).collect();
            let some = batch.take(&some).map_err(|e| Failure::Unfit { what: e.to_string() })?;
            (Some(some), 0..rows.len())
        };
        let (processed, further) =
            plugin.complete(call, of.as_ref().unwrap_or(batch), (within, &answers), budget).await?;
        if let Some(row) = both(&processed, &further) {
            return Err(plugin.broke(format!("it refuses record {row} and asks again for it in one call")));
        }
        done.push((0, placed(processed, &rows)));
        let asking = further.iter().map(|request| rows[request.row as usize]);
        if asking.into_iter().any(|row| rounds.waiting[row as usize].round >= MOST_ROUNDS) {
            return Err(plugin.broke(format!("a record asks again and again: {MOST_ROUNDS} rounds are the most")));
        }
        rounds.again(&rows, further);
    }
    let (calls, mut all) = (done.len(), bisect::join(done, &plugin.manifest().outputs)?);
    if calls > 1 && order == Order::Ordered {
        all.outputs = all.outputs.into_iter().map(by_record).collect::<Result<_, _>>()?;
    }
    // rows of a round before the one that refused their record
    all.without_refused().map_err(|what| plugin.broke(what))
}

/// A record that is refused in the same call that asks again for it.
fn both(processed: &Processed, further: &[Request]) -> Option<u32> {
    let refused = |row: u32| processed.errors.iter().any(|error| error.row == row);
    further.iter().map(|request| request.row).find(|row| refused(*row))
}

fn row(place: usize) -> u32 {
    u32::try_from(place).expect("a batch that was called with has at most 2^32 rows")
}

impl Rounds {
    fn new(rows: usize) -> Self {
        let waiting = (0..rows).map(|_| Waiting::default()).collect();
        Self { waiting, ready: Vec::new(), queue: VecDeque::new(), asked: 0, held: 0 }
    }

    /// The first round: who asks nothing is ready.
    fn ask(&mut self, rows: &[u32], requests: Vec<Request>) {
        self.again(rows, requests);
        self.ready = rows.iter().copied().filter(|row| self.waiting[*row as usize].unanswered == 0).collect();
    }

    /// What the rows of a call ask, which are numbered by their place in it.
    fn again(&mut self, rows: &[u32], requests: Vec<Request>) {
        for request in requests {
            let row = rows[request.row as usize];
            let waiting = &mut self.waiting[row as usize];
            waiting.round += usize::from(waiting.unanswered == 0);
            waiting.unanswered += 1;
            self.queue.push_back(Asked { row, number: self.asked, request });
            self.asked += 1;
        }
    }

    fn answered(&mut self, (Asked { row, number, request }, outcome): (Asked, Outcome)) {
        self.held += weight(&request, &outcome);
        let waiting = &mut self.waiting[row as usize];
        waiting.answers.push((number, request, outcome));
        waiting.unanswered -= 1;
        if waiting.unanswered == 0 {
            self.ready.push(row);
        }
    }

    /// Whether the plugin is called with what is ready now.
    fn completes(&self, order: Order, idle: bool) -> bool {
        idle || !self.ready.is_empty() && (order == Order::Unordered || self.held >= MOST_HELD)
    }

    /// Whether more is asked: where too much waits already, only if nothing else can go on.
    fn may_ask(&self, idle: bool) -> bool {
        self.held < MOST_HELD || idle && self.ready.is_empty()
    }

    /// Of the rows that are ready the first, rising, and their answers in the order in which they were asked for, as rows of the call: as many
    /// as a guest can hold, and one at least.
    fn take(&mut self) -> (Vec<u32>, Vec<(Request, Outcome)>) {
        self.ready.sort_unstable();
        let (mut bytes, mut count) = (0, 0);
        for row in &self.ready {
            let own = &self.waiting[*row as usize].answers;
            bytes += own.iter().map(|(_, request, outcome)| weight(request, outcome)).sum::<usize>();
            if count > 0 && bytes > MOST_GIVEN {
                break;
            }
            count += 1;
        }
        let left = self.ready.split_off(count);
        let rows = std::mem::replace(&mut self.ready, left);
        let mut answers = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let mut own = std::mem::take(&mut self.waiting[*row as usize].answers);
            own.sort_by_key(|(number, ..)| *number);
            for (_, request, outcome) in own {
                self.held -= weight(&request, &outcome);
                answers.push((Request { row: self::row(place), ..request }, outcome));
            }
        }
        (rows, answers)
    }
}

/// Bytes that a guest is given with an answer.
fn weight(request: &Request, outcome: &Outcome) -> usize {
    let answer = match outcome {
        Outcome::Answered { headers, body, .. } => {
            headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + body.len()
        }
        Outcome::Failed(why) => why.len(),
        Outcome::TimedOut => 0,
    };
    request.cookie.len() + answer
}

/// Rows of a call as rows of the part.
fn placed(mut processed: Processed, rows: &[u32]) -> Processed {
    let place = |row: &mut u32| *row = rows[*row as usize];
    processed.outputs.iter_mut().flat_map(|emitted| &mut emitted.source).for_each(place);
    processed.errors.iter_mut().for_each(|error| place(&mut error.row));
    processed
}

/// Rows in the order of their records; those of one record as they are.
fn by_record(emitted: Emitted) -> Result<Emitted, Failure> {
    let Emitted { source, partition_key, event_us, operation, payload, fields } = emitted;
    let mut places: Vec<u32> = (0..source.len()).map(row).collect();
    places.sort_by_key(|place| source[*place as usize]);
    let at = |place: &u32| *place as usize;
    let cells = |cells: Cells| places.iter().map(|place| cells.cell(at(place))).collect::<Cells>();
    let taken = UInt32Array::from(places.clone());
    let fields = take_record_batch(&fields, &taken).map_err(|e| Failure::Fatal(e.to_string()))?;
    Ok(Emitted {
        fields,
        source: places.iter().map(|place| source[at(place)]).collect(),
        partition_key: partition_key.map(cells),
        event_us: event_us.map(|times| places.iter().map(|place| times[at(place)]).collect()),
        operation: operation.map(|all| places.iter().map(|place| all[at(place)]).collect()),
        payload: payload.map(cells),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{AsArray, RecordBatch},
        datatypes::UInt32Type,
    };

    use super::*;

    fn request(row: u32) -> Request {
        Request {
            row,
            cookie: Vec::new(),
            connector: "scores".into(),
            method: "GET".into(),
            path: format!("/{row}"),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn rows_are_put_in_the_order_of_their_records_and_those_of_one_keep_theirs() {
        let column: arrow::array::ArrayRef = Arc::new(UInt32Array::from(vec![0, 1, 2, 3]));
        let emitted = Emitted {
            source: vec![2, 0, 2, 1],
            fields: RecordBatch::try_from_iter([("n", column)]).expect("one column is a batch"),
            event_us: Some(vec![10, 11, 12, 13]),
            partition_key: Some([&b"a"[..], b"b", b"c", b"d"].into_iter().collect()),
            payload: None,
            operation: Some(vec![0, 1, 2, 3]),
        };
        let sorted = by_record(emitted).expect("places are rows");
        assert_eq!(sorted.source, [0, 1, 2, 2]);
        assert_eq!(sorted.event_us, Some(vec![11, 13, 10, 12]));
        assert_eq!(sorted.operation, Some(vec![1, 3, 0, 2]));
        assert_eq!(sorted.partition_key, Some([&b"b"[..], b"d", b"a", b"c"].into_iter().collect()));
        assert_eq!(sorted.fields.column(0).as_primitive::<UInt32Type>().values(), &[1, 3, 0, 2]);
    }

    fn answer(rounds: &mut Rounds, number: usize) {
        let place = rounds.queue.iter().position(|asked| asked.number == number).expect("it was asked");
        let asked = rounds.queue.remove(place).expect("it was asked");
        rounds.answered((asked, Outcome::Failed(number.to_string())));
    }

    fn said(answers: &[(Request, Outcome)]) -> Vec<(u32, &str, &Outcome)> {
        answers.iter().map(|(request, outcome)| (request.row, request.path.as_str(), outcome)).collect()
    }

    #[test]
    fn a_record_is_ready_with_its_own_answers_and_asks_again_by_its_place() {
        let mut rounds = Rounds::new(3);
        rounds.ask(&[0, 1, 2], vec![request(2), request(0), request(2)]);
        assert!(rounds.completes(Order::Unordered, false), "row 1 asks nothing");
        assert!(!rounds.completes(Order::Ordered, false));
        assert_eq!(rounds.take().0, [1]);
        answer(&mut rounds, 2);
        assert!(rounds.ready.is_empty(), "row 2 asked twice");
        answer(&mut rounds, 0);
        answer(&mut rounds, 1);
        let (rows, answers) = rounds.take();
        assert_eq!(rows, [0, 2]);
        let failed = |number: usize| Outcome::Failed(number.to_string());
        let (first, second, third) = (failed(1), failed(0), failed(2));
        assert_eq!(said(&answers), [(0, "/0", &first), (1, "/2", &second), (1, "/2", &third)]);
        assert_eq!(rounds.held, 0);
        rounds.again(&rows, vec![request(1), request(1)]);
        assert_eq!((rounds.waiting[2].round, rounds.waiting[2].unanswered), (2, 2));
        answer(&mut rounds, 4);
        answer(&mut rounds, 3);
        assert_eq!(rounds.take().0, [2]);
        assert!(rounds.completes(Order::Ordered, true) && rounds.take().0.is_empty(), "all is done");
    }

    #[test]
    fn no_call_is_given_more_than_a_guest_can_hold_and_no_more_is_asked_meanwhile() {
        let mut rounds = Rounds::new(20);
        let rows: Vec<u32> = (0..20).collect();
        rounds.ask(&rows, rows.iter().map(|row| request(*row)).collect());
        while rounds.may_ask(false) {
            let asked = rounds.queue.pop_front().expect("all of it is too much");
            rounds.answered((asked, Outcome::Answered { status: 200, headers: Vec::new(), body: vec![0; 3 << 20] }));
        }
        assert_eq!((rounds.ready.len(), rounds.queue.len()), (6, 14));
        assert!(!rounds.may_ask(true), "what is ready goes first");
        for expected in [&[0, 1][..], &[2, 3], &[4, 5]] {
            assert_eq!(rounds.take().0, expected);
        }
        assert!(rounds.held == 0 && rounds.may_ask(true) && rounds.take().0.is_empty());
        let asked = rounds.queue.pop_front().expect("it waits");
        rounds.answered((asked, Outcome::Answered { status: 200, headers: Vec::new(), body: vec![0; 9 << 20] }));
        assert_eq!(rounds.take().0, [6], "one record is one call, whatever it was answered");
    }
}
